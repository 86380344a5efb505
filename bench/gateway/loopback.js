// Loaded before a peer that would listen on every address of the machine: it listens on this machine's own.
import { Server } from "node:net";

const { listen } = Server.prototype;
Server.prototype.listen = function listenOnLoopback(...args) {
  const [first, ...rest] = args;
  if (typeof first === "number") {
    const callback = rest.find((value) => typeof value === "function");
    return listen.call(this, { port: first, host: "127.0.0.1" }, callback);
  }
  if (typeof first === "object" && first !== null && "port" in first) {
    return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
  }
  return listen.call(this, ...args);
};
