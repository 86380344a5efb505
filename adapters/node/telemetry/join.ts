import { silentSpan } from "../../../src/ports/span.ts";
import type { Telemetry } from "../../../src/ports/telemetry.ts";

/**
 * One telemetry for several listeners, the first of which that keeps traces keeps them. A listener that fails fails alone:
 * neither the others nor the answer notice.
 */
export function joinTelemetry(
  listeners: readonly Partial<Telemetry>[],
  onFailure: (error: unknown) => void,
): Telemetry {
  const tracer = listeners.find(({ startTrace }) => startTrace !== undefined);
  const tell = (told: (listener: Partial<Telemetry>) => void): void => {
    for (const listener of listeners) {
      try {
        told(listener);
      } catch (error) {
        onFailure(error);
      }
    }
  };
  return {
    startTrace: (...start) => tracer?.startTrace?.(...start) ?? silentSpan,
    requestStarted: (method) => tell((listener) => listener.requestStarted?.(method)),
    requestEnded: (request) => tell((listener) => listener.requestEnded?.(request)),
    answered: (answer) => tell((listener) => listener.answered?.(answer)),
    healthChanged: (health) => tell((listener) => listener.healthChanged?.(health)),
    questionsOpen: (id, count) => tell((listener) => listener.questionsOpen?.(id, count)),
    logAppended: (latencyMs) => tell((listener) => listener.logAppended?.(latencyMs)),
    alertRaised: (alert) => tell((listener) => listener.alertRaised?.(alert)),
    signalSettled: (signal) => tell((listener) => listener.signalSettled?.(signal)),
  };
}
