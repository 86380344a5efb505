import { createWorker } from "../../adapters/cloudflare/create-worker.ts";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { Engine } from "../../src/ports/engine.ts";
import { createScriptedEngine } from "../scripted-engine.ts";

/** The scripted engine, keeping the port's promise that the log has its rows before the end is told. */
function createLoggingEngine(log: AgreementLog): Engine {
  const scripted = createScriptedEngine();
  return {
    models: () => scripted.models(),
    async *answer(question) {
      for await (const event of scripted.answer(question)) {
        if (event.type === "end") {
          await log.append({
            requestId: question.requestId,
            createdAt: Date.now(),
            endpoint: question.endpoint,
            model: question.model,
            promptTokens: event.usage.promptTokens,
            completionTokens: event.usage.completionTokens,
            finishReason: event.finishReason,
            latencyMs: 1,
            firstTokenMs: 1,
            report: event.report,
            text: null,
          });
        }
        yield event;
      }
    },
  };
}

export default createWorker({ openEngine: createLoggingEngine, readiness: () => ({ ready: true }) });
