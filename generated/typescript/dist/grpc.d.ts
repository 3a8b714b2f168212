/**
 * Loads @grpc/grpc-js as the application sees it. Credentials and channels must come from one copy of it, and where npm
 * links this folder, Node looks for packages beside the link's target, where the application's are out of sight.
 */
import type { makeGenericClientConstructor as MakeGenericClientConstructor } from "@grpc/grpc-js";
export declare const makeGenericClientConstructor: typeof MakeGenericClientConstructor;
