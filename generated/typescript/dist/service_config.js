"use strict";
var __importDefault = (this && this.__importDefault) || function (mod) {
    return (mod && mod.__esModule) ? mod : { "default": mod };
};
Object.defineProperty(exports, "__esModule", { value: true });
exports.serviceConfigWithRequestIds = exports.serviceConfig = void 0;
const service_config_json_1 = __importDefault(require("./service_config.json"));
const service_config_with_request_ids_json_1 = __importDefault(require("./service_config_with_request_ids.json"));
/**
 * The gRPC service config, for the channel option "grpc.service_config": reads that end with UNAVAILABLE are retried.
 */
exports.serviceConfig = JSON.stringify(service_config_json_1.default);
/** As serviceConfig, and writes are retried too: safe only for a caller that sets `requestId` on every write. */
exports.serviceConfigWithRequestIds = JSON.stringify(service_config_with_request_ids_json_1.default);
