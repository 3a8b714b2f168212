/**
 * Reads and writes the protobuf wire format for the generated messages: the part of it that they use. With it inside,
 * the package needs nothing at run time but @grpc/grpc-js, also where npm only links its folder.
 */
export declare class BinaryReader {
    private readonly buffer;
    readonly len: number;
    pos: number;
    private readonly view;
    constructor(buffer: Uint8Array);
    /** A varint's low 32 bits; longer ones, as of negative numbers, are read to their end. */
    uint32(): number;
    int32(): number;
    int64(): bigint;
    bool(): boolean;
    double(): number;
    bytes(): Uint8Array;
    string(): string;
    /** Passes over the value of a field that this version of the messages does not know. */
    skip(wireType: number): void;
    private byte;
    private advance;
}
export declare class BinaryWriter {
    private buffer;
    private length;
    private readonly starts;
    uint32(value: number): this;
    int32(value: number): this;
    int64(value: bigint): this;
    bool(value: boolean): this;
    double(value: number): this;
    bytes(value: Uint8Array): this;
    string(value: string): this;
    /** Begins a nested message, which `join` ends. */
    fork(): this;
    /** Ends the nested message and puts its size before it. */
    join(): this;
    finish(): Uint8Array;
    /** Writes below 2^32 at `position`, where there is room; returns the position after it. */
    private varint;
    private reserve;
}
