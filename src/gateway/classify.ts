import type { Classification, Probes } from "../ports/probes.ts";
import type { Clock } from "../ports/clock.ts";
import type { GatewayContext } from "./environment.ts";
import { readFields } from "./invalid-field.ts";
import { classifyRequest } from "./probe-schemas.ts";
import { readJsonObject } from "./request-body.ts";
import { disconnection } from "./sse.ts";
import { supportedFields } from "./unsupported.ts";

/** `POST /classify`, in vLLM's shape: a probe's class of each text, or its value, in the texts' order. */
export const classify =
  (probes: Probes, clock: Clock) =>
  async (c: GatewayContext): Promise<Response> => {
    const { model, input, concord } = readFields(classifyRequest, supportedFields(await readJsonObject(c)));
    const { signal } = disconnection(c);
    const found = await probes.classify({ ...model, texts: input, members: concord?.members, signal });
    const { probe, members, lost, calibrated, tokens } = found;
    return c.json({
      id: c.get("requestId"),
      object: "list",
      created: Math.floor(clock.now() / 1000),
      model: probe.name,
      data: input.map((_, index) => resultOf(found, index)),
      usage: {
        prompt_tokens: tokens,
        total_tokens: tokens,
        completion_tokens: 0,
        prompt_tokens_details: null,
      },
      concord: {
        version: probe.version,
        task: probe.task,
        trained_through: probe.members,
        members,
        calibrated,
        ...(lost.length === 0 ? {} : { degraded: true, lost }),
      },
    });
  };

/** As vLLM does, a regression's one output stands in `probs` without a label. */
function resultOf({ probe, outputs }: Classification, index: number) {
  const width = outputs.length === 0 ? 0 : Math.max(probe.labels.length, 1);
  const probs = Array.from(outputs.subarray(index * width, (index + 1) * width));
  const label = probe.labels[probs.indexOf(Math.max(...probs))] ?? null;
  return { index, label, probs, num_classes: width };
}
