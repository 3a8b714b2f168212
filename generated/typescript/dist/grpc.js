"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.makeGenericClientConstructor = void 0;
const node_path_1 = require("node:path");
const application = [...(process.argv[1] === undefined ? [] : [(0, node_path_1.dirname)(process.argv[1])]), process.cwd()];
const linked = !__dirname.includes(`${node_path_1.sep}node_modules${node_path_1.sep}`);
const places = linked ? [...application, __dirname] : [__dirname, ...application];
exports.makeGenericClientConstructor = require(require.resolve("@grpc/grpc-js", { paths: places })).makeGenericClientConstructor;
