package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.minimax.GenerationOptions;
import io.github.lightning4j.minimax.GenerationResult;
import io.github.lightning4j.minimax.Generator;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.text.ToolCall;
import io.github.lightning4j.minimax.text.ToolCalls;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax generate}: continues a prompt and shows the text as it comes. */
@Command(
    name = "generate",
    sortOptions = false,
    description = "Continue a prompt, or answer a conversation.")
final class GenerateCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Mixin private DeviceOptions device = new DeviceOptions();

  @Mixin private RankOptions ranks = new RankOptions();

  @Mixin private CacheOptions caches = new CacheOptions();

  @ArgGroup(exclusive = true)
  private PromptOptions prompt = new PromptOptions();

  @Mixin private SamplingOptions sampling = new SamplingOptions();

  @Option(
      names = "--image",
      paramLabel = "FILE",
      description =
          "PNG or JPEG picture for a MiniMax-VL-01 model; repeatable. It stands where the prompt"
              + " has <image>, or before a prompt that has none.")
  private List<Path> images = List.of();

  @Option(names = "--json", description = "Print one JSON object instead of the text.")
  private boolean json;

  GenerateCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    ranks.run(device, model, console.unwatched(json), this::run);
  }

  private void run(Console to) {
    GenerationOptions options = sampling.build();
    model.expect(options.maxNewTokens());
    try (TextModel open = TextModel.open(model, caches.format(to, model.device()), to);
        GenerationOutput output = new GenerationOutput(to, json, open.tokenizer() != null)) {
      GenerationResult result = generate(open, options, output);
      List<ToolCall> calls = prompt.isChat() ? ToolCalls.parse(result.text()).calls() : List.of();
      if (json) {
        to.json(describe(result, calls));
      } else {
        output.finish(result, calls);
      }
    }
  }

  private GenerationResult generate(
      TextModel open, GenerationOptions options, GenerationOutput output) {
    try (ImagePrompt read = prompt.read(open, model.isEmbedded(), images)) {
      return new Generator(open.model(), open.tokenizer()).generate(read, options, output);
    }
  }

  static ObjectNode describe(GenerationResult result, List<ToolCall> calls) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    ArrayNode ids = node.putArray("ids");
    result.ids().forEach(ids::add);
    node.put("text", result.text());
    if (!calls.isEmpty()) {
      ArrayNode list = node.putArray("toolCalls");
      calls.forEach(
          call ->
              list.addObject()
                  .put("name", call.name())
                  .set("arguments", arguments(call.argumentsJson())));
    }
    node.put("promptTokens", result.promptTokens());
    node.put("prefillTokensPerSecond", result.prefillTokensPerSecond());
    node.put("decodeTokensPerSecond", result.decodeTokensPerSecond());
    PeakMemory.addTo(node);
    node.put("finishReason", result.finishReason().name().toLowerCase(Locale.ROOT));
    return node;
  }

  private static JsonNode arguments(String json) {
    try {
      return new JsonMapper().readTree(json);
    } catch (JsonProcessingException e) {
      throw new AssertionError("a parsed call whose arguments are no JSON: " + json, e);
    }
  }
}
