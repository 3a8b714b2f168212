export * from "./context";
export * from "./context_service";
export * from "./error_reason";
export * from "./message";
export * from "./message_service";
export * from "./policy";
export * from "./policy_service";
export * from "./window";
