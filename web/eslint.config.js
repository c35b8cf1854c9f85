import tseslint from "typescript-eslint";

export default tseslint.config({ ignores: ["node_modules"] }, ...tseslint.configs.strict, {
  rules: {
    "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }],
    complexity: ["error", 12],
    eqeqeq: ["error", "always", { null: "ignore" }],
  },
});
