package io.github.lightning4j.minimax.text;

/**
 * A call the model asks for.
 *
 * @param name the tool's name
 * @param argumentsJson its arguments, a JSON object exactly as the model wrote it
 */
public record ToolCall(String name, String argumentsJson) {}
