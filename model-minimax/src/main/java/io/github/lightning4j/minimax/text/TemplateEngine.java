package io.github.lightning4j.minimax.text;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.loader.ResourceNotFoundException;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Jinjava, set up for chat templates: nothing is escaped for HTML, printed values are never read as
 * templates again, templates load no other files, {@code tojson} writes as Python does.
 */
final class TemplateEngine {
  /** Made at first use: it costs some tenths of a second. */
  static final Jinjava JINJAVA = create();

  private TemplateEngine() {}

  private static Jinjava create() {
    Jinjava jinjava =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withLegacyOverrides(LegacyOverrides.ALL)
                .withNestedInterpretationEnabled(false)
                .withKeepTrailingNewline(true)
                .build());
    jinjava.setResourceLocator(
        (name, encoding, interpreter) -> {
          throw new ResourceNotFoundException("a chat template cannot load " + name);
        });
    jinjava.getGlobalContext().registerFilter(new ToJson());
    jinjava
        .getGlobalContext()
        .registerFunction(
            new ELFunctionDefinition(
                "", "raise_exception", TemplateEngine.class, "raiseException", String.class));
    return jinjava;
  }

  /** What a template calls to refuse a conversation. */
  public static String raiseException(String message) {
    throw new Refusal(message);
  }

  /** A template's own refusal. */
  static final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Refusal(String message) {
      super(message);
    }
  }

  private static final class ToJson implements AdvancedFilter {
    @Override
    public String getName() {
      return "tojson";
    }

    @Override
    public Object filter(
        @Nullable Object value,
        JinjavaInterpreter interpreter,
        Object[] arguments,
        Map<String, Object> named) {
      Object indent = arguments.length > 0 ? arguments[0] : named.get("indent");
      return PythonJson.write(value, indent instanceof Number n ? n.intValue() : -1);
    }
  }
}
