/**
 * Loads @grpc/grpc-js as the application sees it. Credentials and channels must come from one copy of it, and where npm
 * links this folder, Node looks for packages beside the link's target, where the application's are out of sight.
 */
import type { makeGenericClientConstructor as MakeGenericClientConstructor } from "@grpc/grpc-js";
import { dirname, sep } from "node:path";

const application = [...(process.argv[1] === undefined ? [] : [dirname(process.argv[1])]), process.cwd()];
const linked = !__dirname.includes(`${sep}node_modules${sep}`);
const places = linked ? [...application, __dirname] : [__dirname, ...application];

export const makeGenericClientConstructor: typeof MakeGenericClientConstructor = require(
  require.resolve("@grpc/grpc-js", { paths: places }),
).makeGenericClientConstructor;
