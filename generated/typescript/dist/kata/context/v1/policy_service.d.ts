import { BinaryReader, BinaryWriter } from "../../../wire";
import { type CallOptions, type ChannelCredentials, Client, type ClientOptions, type ClientUnaryCall, type handleUnaryCall, type Metadata, type ServiceError, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { Policy } from "./policy";
/** The service that keeps the policies of contexts. */
/** GetPolicyRequest names a context. */
export interface GetPolicyRequest {
    /** Identifies the context. Required. */
    contextId: string;
}
/** GetPolicyResponse answers GetPolicy. */
export interface GetPolicyResponse {
    /** Is the policy; unset when none was set. */
    policy: Policy | undefined;
    /** Is the revision that set it; 0 when none was set. */
    policyRevision: bigint;
}
/** SetPolicyRequest sets a policy. */
export interface SetPolicyRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is the new policy; empty, it leaves everything to what is built in. */
    policy: Policy | undefined;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
    /** Demands that this revision set the policy in force: 0 for none. Absent, there is no check. */
    expectedPolicyRevision?: bigint | undefined;
}
/** SetPolicyResponse answers SetPolicy. */
export interface SetPolicyResponse {
    /** Is the policy that was set. */
    policy: Policy | undefined;
    /** Is the revision that set it. */
    revision: bigint;
    /** Says that an earlier call with this request_id set it. */
    replayed: boolean;
}
export declare const GetPolicyRequest: MessageFns<GetPolicyRequest>;
export declare const GetPolicyResponse: MessageFns<GetPolicyResponse>;
export declare const SetPolicyRequest: MessageFns<SetPolicyRequest>;
export declare const SetPolicyResponse: MessageFns<SetPolicyResponse>;
/** PolicyService says how a context's windows are shaped where a request does not. */
export type PolicyServiceService = typeof PolicyServiceService;
export declare const PolicyServiceService: {
    /** Returns the policy in force. Errors: INVALID_FIELD, CONTEXT_NOT_FOUND. */
    readonly getPolicy: {
        readonly path: "/kata.context.v1.PolicyService/GetPolicy";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: GetPolicyRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => GetPolicyRequest;
        readonly responseSerialize: (value: GetPolicyResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => GetPolicyResponse;
    };
    /**
     * Sets the policy, in place of the whole of the one before; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (expected_policy_revision), VERSION_OUT_OF_RANGE (a pinned
     * version beyond the latest), REQUEST_ID_REUSED.
     */
    readonly setPolicy: {
        readonly path: "/kata.context.v1.PolicyService/SetPolicy";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: SetPolicyRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => SetPolicyRequest;
        readonly responseSerialize: (value: SetPolicyResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => SetPolicyResponse;
    };
};
export interface PolicyServiceServer extends UntypedServiceImplementation {
    /** Returns the policy in force. Errors: INVALID_FIELD, CONTEXT_NOT_FOUND. */
    getPolicy: handleUnaryCall<GetPolicyRequest, GetPolicyResponse>;
    /**
     * Sets the policy, in place of the whole of the one before; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (expected_policy_revision), VERSION_OUT_OF_RANGE (a pinned
     * version beyond the latest), REQUEST_ID_REUSED.
     */
    setPolicy: handleUnaryCall<SetPolicyRequest, SetPolicyResponse>;
}
export interface PolicyServiceClient extends Client {
    /** Returns the policy in force. Errors: INVALID_FIELD, CONTEXT_NOT_FOUND. */
    getPolicy(request: GetPolicyRequest, callback: (error: ServiceError | null, response: GetPolicyResponse) => void): ClientUnaryCall;
    getPolicy(request: GetPolicyRequest, metadata: Metadata, callback: (error: ServiceError | null, response: GetPolicyResponse) => void): ClientUnaryCall;
    getPolicy(request: GetPolicyRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: GetPolicyResponse) => void): ClientUnaryCall;
    /**
     * Sets the policy, in place of the whole of the one before; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (expected_policy_revision), VERSION_OUT_OF_RANGE (a pinned
     * version beyond the latest), REQUEST_ID_REUSED.
     */
    setPolicy(request: SetPolicyRequest, callback: (error: ServiceError | null, response: SetPolicyResponse) => void): ClientUnaryCall;
    setPolicy(request: SetPolicyRequest, metadata: Metadata, callback: (error: ServiceError | null, response: SetPolicyResponse) => void): ClientUnaryCall;
    setPolicy(request: SetPolicyRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: SetPolicyResponse) => void): ClientUnaryCall;
}
export declare const PolicyServiceClient: {
    new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>): PolicyServiceClient;
    service: typeof PolicyServiceService;
    serviceName: string;
};
type Builtin = Date | Function | Uint8Array | string | number | boolean | bigint | undefined;
type DeepPartial<T> = T extends bigint ? string | number | bigint : T extends Builtin ? T : T extends globalThis.Array<infer U> ? globalThis.Array<DeepPartial<U>> : T extends ReadonlyArray<infer U> ? ReadonlyArray<DeepPartial<U>> : T extends {
    $case: string;
    value: unknown;
} ? {
    $case: T["$case"];
    value?: DeepPartial<T["value"]>;
} : T extends {} ? {
    [K in keyof T]?: DeepPartial<T[K]>;
} : Partial<T>;
type KeysOfUnion<T> = T extends T ? keyof T : never;
type Exact<P, I extends P> = P extends Builtin ? P : P & {
    [K in keyof P]: Exact<P[K], I[K]>;
} & {
    [K in Exclude<keyof I, KeysOfUnion<P>>]: never;
};
interface MessageFns<T> {
    encode(message: T, writer?: BinaryWriter): BinaryWriter;
    decode(input: BinaryReader | Uint8Array, length?: number): T;
    create<I extends Exact<DeepPartial<T>, I>>(base?: I): T;
    fromPartial<I extends Exact<DeepPartial<T>, I>>(object: I): T;
}
export {};
