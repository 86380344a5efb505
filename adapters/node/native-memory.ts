import koffi from "koffi";

/*
 * Memory straight from the system, for caches that may grow to gigabytes and for weights. It takes place only where it was written to, and
 * goes back at once when it is released; a typed array of the engine would keep it until a collection of garbage.
 */

/** Zeros (count), which take place once they are written to. */
export interface NativeFloats {
  /** Not to be touched after the release. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Gives the place back that the numbers took, which are lost; it takes place again where it is written to. */
  discard(): void;
  release(): void;
}

/** Machine code in memory of its own. */
export interface NativeCode {
  /** Of each piece. */
  readonly addresses: readonly bigint[];
  release(): void;
}

/** Pieces begin at multiples of so many bytes: a line of the processor's cache. */
const CODE_ALIGNMENT = 64;

/**
 * Puts pieces of machine code where they can be called and no longer changed. Not on Windows.
 * @throws Error when the system does not let it
 */
export function nativeCode(pieces: readonly Uint8Array[]): NativeCode {
  const bytes = pieces.reduce((sum, piece) => sum + padded(piece.length), 0);
  const { values, release } = nativeFloats(bytes / 4);
  const begin = koffi.address(values);
  let at = 0;
  const addresses = pieces.map((piece) => {
    new Uint8Array(values.buffer).set(piece, at);
    const address = begin + BigInt(at);
    at += padded(piece.length);
    return address;
  });
  const protect = koffi.load(null).func("int mprotect(void *, size_t, int)");
  if (protect(values, bytes, READ_AND_EXECUTE) !== 0) {
    release();
    throw new Error("the system lets no memory be executed");
  }
  return { addresses, release };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / CODE_ALIGNMENT) * CODE_ALIGNMENT;
}

interface Allocator {
  /** Its code, which must stay loaded. */
  readonly library: unknown;
  allocate(bytes: number, hugePages: boolean): unknown;
  discard(address: unknown, bytes: number): void;
  release(address: unknown, bytes: number): void;
}

let known: Allocator | null = null;

/** How the system is to give the memory. */
export interface PageOptions {
  /** In huge pages where there are any: for what is written whole and read often. */
  readonly hugePages?: boolean;
}

/** @throws Error when the system has no such memory left */
export function nativeFloats(count: number, { hugePages = false }: PageOptions = {}): NativeFloats {
  if (count === 0) {
    return { values: new Float32Array(0), discard: () => undefined, release: () => undefined };
  }
  known ??= process.platform === "win32" ? windowsAllocator() : posixAllocator();
  const { allocate, discard, release } = known;
  const bytes = 4 * count;
  const address = allocate(bytes, hugePages);
  return {
    values: new Float32Array(koffi.view(address, bytes)),
    discard: () => discard(address, bytes),
    release: () => release(address, bytes),
  };
}

/** Numbers of the C headers of Linux and of macOS. */
const READ_AND_WRITE = 3;
const READ_AND_EXECUTE = 5;
const PRIVATE = 2;
const [ANONYMOUS, NO_RESERVE] = process.platform === "darwin" ? [0x1000, 0x40] : [0x20, 0x4000];
const [HUGE_PAGES, NO_HUGE_PAGES] = [14, 15];
/** Linux gives pages back at once, macOS when it needs them. */
const NOT_NEEDED = process.platform === "darwin" ? 5 : 4;
const FAILED = 2n ** 64n - 1n;

function posixAllocator(): Allocator {
  const library = koffi.load(null);
  const map = library.func("void *mmap(void *, size_t, int, int, int, int64_t)");
  const unmap = library.func("int munmap(void *, size_t)");
  const advise = library.func("int madvise(void *, size_t, int)");
  return {
    library,
    allocate(bytes, hugePages) {
      const address: unknown = map(null, bytes, READ_AND_WRITE, PRIVATE | ANONYMOUS | NO_RESERVE, -1, 0);
      if (koffi.address(address) === FAILED) throw outOfMemory(bytes);
      // A huge page would take place for 2 MB where a few KB are written.
      if (process.platform === "linux") advise(address, bytes, hugePages ? HUGE_PAGES : NO_HUGE_PAGES);
      return address;
    },
    discard: (address, bytes) => void advise(address, bytes, NOT_NEEDED),
    release: (address, bytes) => void unmap(address, bytes),
  };
}

const COMMIT = 0x1000;
const COMMIT_AND_RESERVE = 0x3000;
const PAGE_READ_WRITE = 4;
const DECOMMIT = 0x4000;
const RELEASE = 0x8000;

function windowsAllocator(): Allocator {
  const library = koffi.load("kernel32.dll");
  const allocate = library.func("void *VirtualAlloc(void *, size_t, uint32_t, uint32_t)");
  const free = library.func("int VirtualFree(void *, size_t, uint32_t)");
  return {
    library,
    allocate(bytes) {
      const address: unknown = allocate(null, bytes, COMMIT_AND_RESERVE, PAGE_READ_WRITE);
      if (address === null) throw outOfMemory(bytes);
      return address;
    },
    discard(address, bytes) {
      free(address, bytes, DECOMMIT);
      allocate(address, bytes, COMMIT, PAGE_READ_WRITE);
    },
    release: (address) => void free(address, 0, RELEASE),
  };
}

function outOfMemory(bytes: number): Error {
  return new Error(`the system has no ${Math.ceil(bytes / 2 ** 20)} MB of memory left`);
}
