/** Ends its process with code 3 while a member reads a long text. */
import { openMember } from "../open-member.ts";

const model = await openMember("smollm2-135m-instruct");
const sequence = model.openSequence();
await sequence.append([0]);
void sequence.append(new Int32Array(2000));
setTimeout(() => process.exit(3), 100);
