export * from "./kata/context/v1";
export { serviceConfig, serviceConfigWithRequestIds } from "./service_config";
