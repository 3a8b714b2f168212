"use strict";
/**
 * Reads and writes the protobuf wire format for the generated messages: the part of it that they use. With it inside,
 * the package needs nothing at run time but @grpc/grpc-js, also where npm only links its folder.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.BinaryWriter = exports.BinaryReader = void 0;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
class BinaryReader {
    buffer;
    len;
    pos = 0;
    view;
    constructor(buffer) {
        this.buffer = buffer;
        this.len = buffer.length;
        this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    }
    /** A varint's low 32 bits; longer ones, as of negative numbers, are read to their end. */
    uint32() {
        let value = 0;
        for (let shift = 0; shift < 70; shift += 7) {
            const byte = this.byte();
            if (shift < 32)
                value |= (byte & 0x7f) << shift;
            if (byte < 0x80)
                return value >>> 0;
        }
        throw new RangeError("a varint is longer than 10 bytes");
    }
    int32() {
        return this.uint32() | 0;
    }
    int64() {
        let small = 0;
        for (let shift = 0; shift < 28; shift += 7) {
            const byte = this.byte();
            small |= (byte & 0x7f) << shift;
            if (byte < 0x80)
                return BigInt(small);
        }
        let value = BigInt(small);
        for (let shift = 28n; shift < 70n; shift += 7n) {
            const byte = this.byte();
            value |= BigInt(byte & 0x7f) << shift;
            if (byte < 0x80)
                return BigInt.asIntN(64, value);
        }
        throw new RangeError("a varint is longer than 10 bytes");
    }
    bool() {
        return this.int64() !== 0n;
    }
    double() {
        return this.view.getFloat64(this.advance(8), true);
    }
    bytes() {
        const length = this.uint32();
        const start = this.advance(length);
        return this.buffer.subarray(start, start + length);
    }
    string() {
        return utf8.decode(this.bytes());
    }
    /** Passes over the value of a field that this version of the messages does not know. */
    skip(wireType) {
        switch (wireType) {
            case 0:
                this.int64();
                return;
            case 1:
                this.advance(8);
                return;
            case 2:
                this.advance(this.uint32());
                return;
            case 5:
                this.advance(4);
                return;
            default:
                throw new RangeError(`wire type ${wireType} is not in use`);
        }
    }
    byte() {
        return this.buffer[this.advance(1)];
    }
    advance(length) {
        const start = this.pos;
        if (length > this.len - start)
            throw new RangeError("the message ends too early");
        this.pos = start + length;
        return start;
    }
}
exports.BinaryReader = BinaryReader;
class BinaryWriter {
    buffer = Buffer.allocUnsafe(256);
    length = 0;
    starts = [];
    uint32(value) {
        if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
            throw new RangeError(`not a uint32: ${value}`);
        this.reserve(5);
        this.length = this.varint(value, this.length);
        return this;
    }
    int32(value) {
        if (!Number.isInteger(value) || value < -0x80000000 || value > 0x7fffffff) {
            throw new RangeError(`not an int32: ${value}`);
        }
        return value < 0 ? this.int64(BigInt(value)) : this.uint32(value);
    }
    int64(value) {
        if (BigInt.asIntN(64, value) !== value)
            throw new RangeError(`not an int64: ${value}`);
        this.reserve(10);
        let rest = BigInt.asUintN(64, value);
        while (rest > 0x7fffffffn) {
            this.buffer[this.length++] = Number(rest & 0x7fn) | 0x80;
            rest >>= 7n;
        }
        this.length = this.varint(Number(rest), this.length);
        return this;
    }
    bool(value) {
        return this.uint32(value ? 1 : 0);
    }
    double(value) {
        this.reserve(8);
        this.length = this.buffer.writeDoubleLE(value, this.length);
        return this;
    }
    bytes(value) {
        this.uint32(value.length);
        this.reserve(value.length);
        this.buffer.set(value, this.length);
        this.length += value.length;
        return this;
    }
    string(value) {
        // Encoding would put U+FFFD in the place of half a pair, and the text would be another one.
        if (!value.isWellFormed())
            throw new RangeError("a string holds a lone surrogate, which UTF-8 cannot express");
        const size = Buffer.byteLength(value, "utf8");
        this.uint32(size);
        this.reserve(size);
        this.length += this.buffer.write(value, this.length, size, "utf8");
        return this;
    }
    /** Begins a nested message, which `join` ends. */
    fork() {
        this.starts.push(this.length);
        return this;
    }
    /** Ends the nested message and puts its size before it. */
    join() {
        const start = this.starts.pop();
        if (start === undefined)
            throw new RangeError("join without fork");
        const size = this.length - start;
        this.reserve(5);
        const head = size < 0x80 ? 1 : size < 0x4000 ? 2 : size < 0x200000 ? 3 : size < 0x10000000 ? 4 : 5;
        this.buffer.copyWithin(start + head, start, this.length);
        this.varint(size, start);
        this.length += head;
        return this;
    }
    finish() {
        return Uint8Array.prototype.slice.call(this.buffer, 0, this.length);
    }
    /** Writes below 2^32 at `position`, where there is room; returns the position after it. */
    varint(value, position) {
        while (value > 0x7f) {
            this.buffer[position++] = (value & 0x7f) | 0x80;
            value >>>= 7;
        }
        this.buffer[position++] = value;
        return position;
    }
    reserve(size) {
        if (this.length + size <= this.buffer.length)
            return;
        const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + size));
        this.buffer.copy(larger, 0, 0, this.length);
        this.buffer = larger;
    }
}
exports.BinaryWriter = BinaryWriter;
