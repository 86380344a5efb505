import type { Span } from "./span.ts";
import type { ChatMessage } from "./tokenizer.ts";

/** What the gateway asks of whatever answers: the ensemble in the product, a scripted one in unit tests. */
export interface Engine {
  /** Every name a request's `model` may have, the ensemble's first. */
  models(): readonly ModelCard[];
  /** Answers one request. Ends with exactly one `end` event, or throws a GatewayError. By then the log has its rows. */
  answer(question: Question): AsyncIterable<AnswerEvent>;
}

export interface ModelCard {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly ownedBy: string;
  readonly contextLength: number;
}

export type Prompt =
  | {
      readonly kind: "chat";
      readonly messages: readonly ChatMessage[];
      /** What the answer begins with; it can be scored, which the turns before it cannot. */
      readonly answer?: string | undefined;
    }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] };

export interface SamplingOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number;
  /** 0 is off. */
  readonly topK: number;
  /** Keeps tokens with p >= minP * max p; 0 is off. */
  readonly minP: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to the logits, by token id of the answering vocabulary. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Same seed, same request, same models: same answer. Null draws one. */
  readonly seed: number | null;
}

/** The distribution as it is: temperature 1, nothing cut off, nothing added. */
export const plainSampling: SamplingOptions = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: new Map(),
  seed: null,
};

/** One of the texts that an answer is chosen from: what is read and judged, and what the answer then says. */
export interface AnswerChoice {
  readonly value: string;
  readonly text: string;
}

/** What the client asks of an answer's confidence. */
export interface Demands {
  /** Of the prediction set, in (0, 1); null: no set is asked for. */
  readonly coverage: number | null;
  /** Below it the answer is marked as an abstention; null: never. */
  readonly minConfidence: number | null;
}

/** One arm of an experiment. */
export interface ExperimentArm {
  readonly name: string;
  readonly arm: string;
}

/** Who asks, as far as an experiment assigns by it. */
export interface Caller {
  /** OpenAI's `user`. */
  readonly user: string | null;
  header(name: string): string | null;
}

export interface Question {
  readonly requestId: string;
  readonly model: string;
  readonly endpoint: "chat.completions" | "completions" | "ask";
  readonly prompt: Prompt;
  /** Null: up to the end of the context. 0 is allowed with echo. */
  readonly maxTokens: number | null;
  readonly stop: readonly string[];
  readonly sampling: SamplingOptions;
  /** How many alternatives to report per token; null: no log-probabilities at all. */
  readonly topLogprobs: number | null;
  /** Score and return the prompt's own tokens before the answer. */
  readonly echo: boolean;
  /** What the answer is one of; absent: free text. */
  readonly choices?: readonly AnswerChoice[] | undefined;
  /** Absent: none. */
  readonly demands?: Demands | undefined;
  /** Whose question it is; absent outside experiments. The log keeps it. */
  readonly experiment?: ExperimentArm | undefined;
  /** Absent: nobody that is known. */
  readonly caller?: Caller | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What answering it is a part of; absent: nobody keeps how the answer comes about. */
  readonly span?: Span | undefined;
}

export interface TokenScore {
  readonly token: number;
  /** The token's bytes: possibly a part of a character. */
  readonly bytes: Uint8Array;
  /** Nats, before temperature, penalties and bias; null where nothing precedes the token. */
  readonly logprob: number | null;
  /** The most likely tokens, best first. */
  readonly top: readonly { readonly token: number; readonly bytes: Uint8Array; readonly logprob: number }[];
}

export type AnswerEvent =
  /** Only with echo: the prompt as it was read. */
  | { readonly type: "prompt"; readonly text: string; readonly tokens: readonly TokenScore[] }
  /** New text (whole characters; may be empty while a stop text or a character is incomplete) and the tokens that made it. */
  | { readonly type: "delta"; readonly text: string; readonly tokens: readonly TokenScore[] }
  | {
      readonly type: "end";
      readonly finishReason: "stop" | "length";
      readonly usage: {
        readonly promptTokens: number;
        /** Of these, those that had been read before and were not computed again; absent: not known. */
        readonly cachedTokens?: number;
        readonly completionTokens: number;
      };
      readonly report: AnswerReport;
      readonly confidence: Confidence;
      /** Only of a question with choices. */
      readonly choices?: ChoiceProbabilities;
      /** What the confidence was calibrated from; absent where there is none. */
      readonly forecast?: RawForecast;
      /** Only of a question that an experiment has answered. */
      readonly experiment?: ExperimentPart;
    };

/** Probabilities as they were before calibration, and by whom. */
export interface RawForecast {
  /** Fingerprint of the weights that gave them. */
  readonly by: string;
  /** Of each choice, together 1; of a free answer one, that it is right. */
  readonly probabilities: readonly number[];
}

/** The part that an answer has in an experiment. */
export interface ExperimentPart extends ExperimentArm {
  /** Whether it is a sample: only a running experiment takes any. */
  readonly recorded: boolean;
  /** The other arm of a pair, which answers later and under an id of its own. */
  readonly shadow?: { readonly arm: string; readonly requestId: string };
}

/** The probability that an answer is right, or why none can be told. */
export type Confidence =
  | {
      /** In [0, 1], calibrated on questions of which the right answer is known. */
      readonly value: number;
      /** What right means: the choice is the right one, or a short answer names the right thing. */
      readonly kind: "choice" | "short_answer";
      /** The questions it was calibrated on. */
      readonly calibration: CalibrationSet;
    }
  | {
      readonly value: null;
      readonly reason: string;
      /** The kind of reason, to count them by; absent where it is none of these. */
      readonly gap?: ConfidenceGap;
    };

/** Why no confidence can be told. */
export type ConfidenceGap =
  /** No calibration for these members and maps. */
  | "nothing_calibrated"
  /** A chat, or token ids, where plain texts were calibrated. */
  | "form"
  /** Another number of choices. */
  | "choices"
  /** Not like what was calibrated on. */
  | "unlike"
  | "member_lost"
  | "empty_answer"
  | "long_answer"
  /** Drawn, biased or penalised, where greedy answers were calibrated. */
  | "sampling";

/** Questions that a confidence was calibrated on: it holds for others as far as they are like these. */
export interface CalibrationSet {
  readonly name: string;
  /** How many, none of which anything else was learned from. */
  readonly items: number;
  /**
   * How usual a question this would be among them, in (0, 1]: the share of them that are as unusual or more. Below 0.02 no
   * confidence is told.
   */
  readonly likeness: number;
}

export interface ChoiceProbabilities {
  /** Index of the choice that is the answer. */
  readonly chosen: number;
  /** Of each choice, together 1, in the order of the question: calibrated where there is a confidence (c). */
  readonly probabilities: readonly number[];
  /** Indices of the choices that the right one is among with the asked coverage; null: not asked for, or not calibrated. */
  readonly predictionSet: readonly number[] | null;
}

/** How far the members agreed over one answer. Means over the scored positions; null where there was nothing to compare. */
export interface Agreement {
  /** Positions compared. */
  readonly positions: number;
  /** Mean Jensen–Shannon divergence of the members' next-token distributions in the shared vocabulary, nats, in [0, ln 2] for two members. */
  readonly jsDivergence: number | null;
  /** Share of positions at which all members have the same most likely token, in [0, 1]. */
  readonly top1Agreement: number | null;
  /** Mean pairwise cosine distance of the projected states, in [0, 2]. */
  readonly stateDistance: number | null;
}

export interface MemberReport {
  readonly id: string;
  /** The weight this member's projected state had in the fused one, in the mean over the positions; 0 where it abstained. */
  readonly weight: number;
  /** Bits per byte of the scored text under this member's distribution; null for an empty text. */
  readonly bitsPerByte: number | null;
  /** Share of positions at which this member's most likely token is the fused one. */
  readonly top1Agreement: number | null;
  /** Mean entropy of the member's next-token distribution, nats. */
  readonly entropy: number | null;
  /** Time this member computed, milliseconds. */
  readonly latencyMs: number;
  /** Positions at which the member gave no state, and why; absent when it always answered. */
  readonly abstained?: { readonly positions: number; readonly reason: string };
  /** Where the answer went on without this member for good; absent for one that was there to the end. */
  readonly lost?: MemberLoss;
}

/** A member that crashed, did not answer in time or gave no numbers. */
export interface MemberLoss {
  /** Tokens of the answer that it took part in; 0 where it was lost before the first. */
  readonly position: number;
  readonly reason: string;
}

export interface AnswerReport {
  readonly requestId: string;
  /** In whose vocabulary and by whom: the ensemble's name, or one member's. */
  readonly answeredBy: string;
  /** Why one member alone answered what the ensemble was asked; absent otherwise. */
  readonly notFused?: string;
  readonly agreement: Agreement;
  /** The answer is by those of them that are not `lost`; a part of it also by the others. */
  readonly members: readonly MemberReport[];
  /** Bits per byte of the scored text under the answering distribution. */
  readonly bitsPerByte: number | null;
  /** Mean entropy of the answering distribution, nats. */
  readonly entropy: number | null;
}
