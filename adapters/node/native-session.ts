import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import koffi from "koffi";
import type { Provider } from "./provider.ts";
import { openNativeGraph } from "./x64/native-graph.ts";
import { CALLED, DOMAIN, hasOperators } from "./x64/operator.ts";

/*
 * onnxruntime by its C interface. Its Node binding copies every result of a run into a new array, so a cache that is a
 * result would be copied whole at every token. Here results are written where they are wanted: a graph's operator that is
 * given the same memory as past and as present cache appends to it in place. The library is the one that
 * onnxruntime-node brings; its table of functions only ever grows at the end.
 */

/** Places in the table of functions: OrtApi of onnxruntime_c_api.h. */
const FUNCTIONS = {
  GetErrorMessage: [2, "str GetErrorMessage(void *)"],
  CreateEnv: [3, "void *CreateEnv(int, str, _Out_ void **)"],
  CreateSession: [
    7,
    process.platform === "win32"
      ? "void *CreateSession(void *, str16, void *, _Out_ void **)"
      : "void *CreateSession(void *, str, void *, _Out_ void **)",
  ],
  CreateSessionFromArray: [8, "void *CreateSessionFromArray(void *, void *, size_t, void *, _Out_ void **)"],
  Run: [9, "void *Run(void *, void *, void *, void *, size_t, void *, size_t, void *)"],
  CreateSessionOptions: [10, "void *CreateSessionOptions(_Out_ void **)"],
  DisableMemPattern: [17, "void *DisableMemPattern(void *)"],
  SetIntraOpNumThreads: [24, "void *SetIntraOpNumThreads(void *, int)"],
  SetInterOpNumThreads: [25, "void *SetInterOpNumThreads(void *, int)"],
  CreateCustomOpDomain: [26, "void *CreateCustomOpDomain(str, _Out_ void **)"],
  CustomOpDomain_Add: [27, "void *CustomOpDomain_Add(void *, void *)"],
  AddCustomOpDomain: [28, "void *AddCustomOpDomain(void *, void *)"],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void *CreateTensorWithDataAsOrtValue(void *, void *, size_t, void *, size_t, int, _Out_ void **)",
  ],
  CreateCpuMemoryInfo: [69, "void *CreateCpuMemoryInfo(int, int, _Out_ void **)"],
  ReleaseStatus: [93, "void ReleaseStatus(void *)"],
  ReleaseSession: [95, "void ReleaseSession(void *)"],
  ReleaseValue: [96, "void ReleaseValue(void *)"],
  ReleaseSessionOptions: [100, "void ReleaseSessionOptions(void *)"],
  ReleaseCustomOpDomain: [101, "void ReleaseCustomOpDomain(void *)"],
  GetAvailableProviders: [125, "void *GetAvailableProviders(_Out_ void **, _Out_ int *)"],
  ReleaseAvailableProviders: [126, "void *ReleaseAvailableProviders(void *, int)"],
  AddSessionConfigEntry: [130, "void *AddSessionConfigEntry(void *, str, str)"],
  AppendProvider: [216, "void *SessionOptionsAppendExecutionProvider(void *, str, void *, void *, size_t)"],
} as const;

/** The newest version of the table that has all of these. */
const API_VERSION = 17;
const WARNING = 2;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;
const EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path";
/** What tensors are made of, as onnxruntime numbers it. */
const ELEMENT_TYPES = new Map<unknown, number>([
  [Float32Array, 1],
  [Uint16Array, 4],
  [Int32Array, 6],
  [BigInt64Array, 7],
]);

type Data = Float32Array | Uint16Array<ArrayBuffer> | Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>;

/** A tensor over memory of ours; it is read and written in place. */
export interface NativeTensor {
  readonly pointer: bigint;
  /** Its numbers, which must not move while it lives: made from a buffer of their own, never a short array. */
  readonly data: Data;
  release(): void;
}

export interface NativeSession {
  /**
   * Whether attention is computed by `attendCode`: keys and values are kept as that says, appended to where they lie, and
   * no graph port but the last index tells lengths. Otherwise onnxruntime computes it, over float32.
   */
  readonly attends: boolean;
  /** Computes `outputs` from `inputs`, each a tensor by its name in the graph. @throws Error when the graph fails */
  run(inputs: Tensors, outputs: Tensors): void;
  release(): void;
}

export type Tensors = ReadonlyMap<string, NativeTensor>;

type Handle = unknown;
type Native = Readonly<Record<keyof typeof FUNCTIONS, (...parameters: unknown[]) => Handle>>;

interface Runtime {
  /** Its code, which is unloaded when nobody holds it any more. */
  readonly library: ReturnType<typeof koffi.load>;
  readonly native: Native;
  /** Address of the function at a place of its table. */
  address(place: number): bigint;
  readonly environment: Handle;
  readonly memory: Handle;
}

let loaded: Runtime | null = null;

/** The library in this thread, loaded once. */
function runtime(): Runtime {
  if (loaded !== null) return loaded;
  const library = koffi.load(libraryPath());
  const base = koffi.decode(
    library.func("OrtGetApiBase", "void *", [])(),
    koffi.struct({ GetApi: "void *", GetVersionString: "void *" }),
  ) as { GetApi: unknown };
  const getApi = koffi.decode(base.GetApi, koffi.proto("void *(uint32_t)")) as (version: number) => Handle;
  const last = Math.max(...Object.values(FUNCTIONS).map(([place]) => place), ...Object.values(CALLED));
  const table = koffi.decode(getApi(API_VERSION), koffi.array("void *", last + 1)) as Handle[];
  const native = Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, [place, signature]]) => [
      name,
      koffi.decode(table[place], koffi.proto(signature)),
    ]),
  ) as unknown as Native;
  const environment = made(native, native.CreateEnv, WARNING, "concord");
  const memory = made(native, native.CreateCpuMemoryInfo, ARENA_ALLOCATOR, DEFAULT_MEMORY);
  const address = (place: number): bigint => koffi.address(table[place]);
  loaded = { library, native, address, environment, memory };
  return loaded;
}

/** Beside the binding that onnxruntime-node loads. */
function libraryPath(): string {
  const name = {
    linux: "libonnxruntime.so.1",
    darwin: "libonnxruntime.1.dylib",
    win32: "onnxruntime.dll",
  }[process.platform as string];
  if (name === undefined) throw new Error(`onnxruntime has no library for ${process.platform}`);
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "..", "bin", "napi-v6", process.platform, process.arch, name);
}

/** @throws Error with onnxruntime's message when it gave a status */
function check(native: Native, status: Handle): void {
  if (status === null) return;
  const message = String(native.GetErrorMessage(status)).trim();
  native.ReleaseStatus(status);
  throw new Error(`onnxruntime: ${message}`);
}

/** What a function leaves in its last parameter. */
function made(native: Native, make: Native[keyof Native], ...parameters: unknown[]): Handle {
  const result: Handle[] = [null];
  check(native, make(...parameters, result));
  return result[0];
}

export interface NativeSessionOptions {
  /** Of the graph's file. */
  readonly path: string;
  /** Threads that one operator may use. */
  readonly threads: number;
  /** Computes what it can of the graph; the processor does the rest. */
  readonly provider: Provider;
}

/** Providers other than the processor: onnxruntime's name, and the function of its own that adds it. */
const ADDED_BY: Readonly<Record<Exclude<Provider, "cpu">, readonly [name: string, add: string | null]>> = {
  cuda: ["CUDAExecutionProvider", "OrtSessionOptionsAppendExecutionProvider_CUDA"],
  coreml: ["CoreMLExecutionProvider", "OrtSessionOptionsAppendExecutionProvider_CoreML"],
  dml: ["DmlExecutionProvider", "OrtSessionOptionsAppendExecutionProvider_DML"],
  webgpu: ["WebGpuExecutionProvider", null],
};
const FIRST_DEVICE = 0;

function addProvider(options: Handle, provider: Provider): void {
  if (provider === "cpu") return;
  const { library, native } = runtime();
  const [name, add] = ADDED_BY[provider];
  if (!builtIn(native).includes(name)) throw new Error("this build of onnxruntime does not have it");
  const status =
    add === null
      ? native.AppendProvider(options, name, null, null, 0)
      : (library.func(`void *${add}(void *, int)`)(options, FIRST_DEVICE) as Handle);
  check(native, status);
}

/** What the library was built with, by onnxruntime's names. */
function builtIn(native: Native): string[] {
  const [list, length]: [Handle[], number[]] = [[null], [0]];
  check(native, native.GetAvailableProviders(list, length));
  const names = koffi.decode(list[0], koffi.array("char *", length[0] ?? 0)) as string[];
  check(native, native.ReleaseAvailableProviders(list[0], length[0]));
  return names;
}

/** @throws Error where graphs cannot run on it here, with why and which there are */
export function checkProvider(provider: Provider): void {
  // Always there: nothing is loaded to find that out.
  if (provider === "cpu") return;
  const { native } = runtime();
  const options = made(native, native.CreateSessionOptions);
  try {
    addProvider(options, provider);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const names = builtIn(native);
    const others = Object.entries(ADDED_BY).flatMap(([other, [name]]) =>
      names.includes(name) ? [other] : [],
    );
    throw new Error(
      `provider ${provider}: cannot be used here (${reason}). ` +
        `onnxruntime for ${process.platform} ${process.arch} is built for ${["cpu", ...others].join(", ")}; ` +
        `beside the processor each needs its device, its drivers and its own libraries. Take another, or cpu.`,
      { cause: error },
    );
  } finally {
    native.ReleaseSessionOptions(options);
  }
}

/** Loads a graph. @throws Error when onnxruntime cannot */
export function openNativeSession({ path, threads, provider }: NativeSessionOptions): NativeSession {
  const { native } = runtime();
  const options = made(native, native.CreateSessionOptions);
  check(native, native.SetIntraOpNumThreads(options, threads));
  check(native, native.SetInterOpNumThreads(options, 1));
  // Plans are remembered for each shape of the inputs, and the shapes here never stop changing.
  check(native, native.DisableMemPattern(options));
  // Idle threads that spin would take the cores from the other members.
  check(native, native.AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
  addProvider(options, provider);
  const { session, attends, release } = openGraph(options, path, threads, provider);
  native.ReleaseSessionOptions(options);
  const names = createNames();
  return {
    attends,
    run(inputs, outputs) {
      const [inputNames, inputPointers] = [names.of(inputs), pointersOf(inputs)];
      const [outputNames, outputPointers] = [names.of(outputs), pointersOf(outputs)];
      const [read, written] = [inputs.size, outputs.size];
      check(
        native,
        native.Run(session, null, inputNames, inputPointers, read, outputNames, written, outputPointers),
      );
    },
    release,
  };
}

interface OpenGraph extends Pick<NativeSession, "attends"> {
  readonly session: Handle;
  release(): void;
}

/** Whether there is machine code of ours, so that graphs may have operators that onnxruntime has not. */
export function hasOwnOperators(provider: Provider): boolean {
  return provider === "cpu" && hasOperators();
}

/** A session of a graph, on the processor with what there is in machine code. */
function openGraph(options: Handle, path: string, threads: number, provider: Provider): OpenGraph {
  const { native, address, environment } = runtime();
  const graph = hasOwnOperators(provider) ? openNativeGraph(path, threads, address) : null;
  if (graph === null) {
    const session = made(native, native.CreateSession, environment, path, options);
    return { session, attends: false, release: () => void native.ReleaseSession(session) };
  }
  const domain = made(native, native.CreateCustomOpDomain, DOMAIN);
  const releaseGraph = (): void => {
    native.ReleaseCustomOpDomain(domain);
    graph.release();
  };
  try {
    const { model, operators, attends } = graph;
    for (const operator of operators) check(native, native.CustomOpDomain_Add(domain, operator));
    check(native, native.AddCustomOpDomain(options, domain));
    check(native, native.AddSessionConfigEntry(options, EXTERNAL_DATA_FOLDER, dirname(path)));
    const session = made(native, native.CreateSessionFromArray, environment, model, model.length, options);
    return {
      session,
      attends,
      release() {
        native.ReleaseSession(session);
        releaseGraph();
      },
    };
  } catch (error) {
    releaseGraph();
    throw error;
  }
}

/** A tensor over `data`. */
export function nativeTensor(data: Data, dims: readonly number[]): NativeTensor {
  const { native, memory } = runtime();
  const type = ELEMENT_TYPES.get(data.constructor);
  const shape = BigInt64Array.from(dims, BigInt);
  const create = native.CreateTensorWithDataAsOrtValue;
  const value = made(native, create, memory, data, data.byteLength, shape, dims.length, type);
  return { pointer: koffi.address(value), data, release: () => void native.ReleaseValue(value) };
}

/** Names as C has them, kept where they are. */
function createNames(): { of(tensors: Tensors): BigUint64Array } {
  const kept = new Map<string, { readonly text: Uint8Array; readonly pointer: bigint }>();
  function keep(name: string): bigint {
    const known = kept.get(name);
    if (known !== undefined) return known.pointer;
    const encoded = new TextEncoder().encode(`${name}\0`);
    // In a buffer of its own: short arrays may be moved.
    const text = new Uint8Array(new ArrayBuffer(encoded.length));
    text.set(encoded);
    const pointer = koffi.address(text);
    kept.set(name, { text, pointer });
    return pointer;
  }
  return { of: (tensors) => BigUint64Array.from(tensors.keys(), keep) };
}

function pointersOf(tensors: Tensors): BigUint64Array {
  return BigUint64Array.from(tensors.values(), ({ pointer }) => pointer);
}
