/**
 * The gRPC service config, for the channel option "grpc.service_config": reads that end with UNAVAILABLE are retried.
 */
export declare const serviceConfig: string;
/** As serviceConfig, and writes are retried too: safe only for a caller that sets `requestId` on every write. */
export declare const serviceConfigWithRequestIds: string;
