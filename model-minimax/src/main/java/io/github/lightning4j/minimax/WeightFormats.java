package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Splitter;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The {@link WeightFormat} of each role whose weights are large. Norms, routers, shared experts and
 * the vision side stay as they are stored.
 *
 * <pre>{@code
 * WeightFormats.parse("int4,head=int8,embedding=bf16")
 * }</pre>
 *
 * @param experts the experts' matrices
 * @param attention the projections of both kinds of attention
 * @param head the language-model head
 * @param embedding the token embeddings; of a model with tied embeddings the same as the head
 */
public record WeightFormats(
    WeightFormat experts, WeightFormat attention, WeightFormat head, WeightFormat embedding) {
  /** All as stored. */
  public static final WeightFormats STORED = of(WeightFormat.STORED);

  private static final Map<String, WeightRole> ROLES =
      Map.of(
          "experts", WeightRole.EXPERT,
          "attention", WeightRole.ATTENTION,
          "head", WeightRole.HEAD,
          "embedding", WeightRole.EMBEDDING);

  /** One format for all roles. */
  public static WeightFormats of(WeightFormat format) {
    return new WeightFormats(format, format, format, format);
  }

  /**
   * Reads a list with commas: a format for all roles, formats of single roles ({@code experts},
   * {@code attention}, {@code head}, {@code embedding}) as {@code role=format}, or both. Roles that
   * are not told stay as stored.
   *
   * @throws IllegalArgumentException if a format or role is unknown, or one is told twice
   */
  public static WeightFormats parse(String text) {
    Map<WeightRole, WeightFormat> told = new EnumMap<>(WeightRole.class);
    WeightFormat rest = WeightFormat.STORED;
    Set<String> names = new HashSet<>();
    for (String entry : Splitter.on(',').trimResults().split(text)) {
      List<String> parts = Splitter.on('=').limit(2).trimResults().splitToList(entry);
      String role = parts.size() == 2 ? parts.get(0) : "all roles";
      checkArgument(names.add(role), "weights: a format for %s is told twice in '%s'", role, text);
      WeightFormat format = WeightFormat.parse(parts.get(parts.size() - 1));
      if (parts.size() == 1) {
        rest = format;
        continue;
      }
      checkArgument(
          ROLES.containsKey(role),
          "weights: expected a role among experts, attention, head, embedding, got '%s'",
          role);
      told.put(ROLES.get(role), format);
    }
    return new WeightFormats(
        told.getOrDefault(WeightRole.EXPERT, rest),
        told.getOrDefault(WeightRole.ATTENTION, rest),
        told.getOrDefault(WeightRole.HEAD, rest),
        told.getOrDefault(WeightRole.EMBEDDING, rest));
  }

  /** The format of a role. */
  public WeightFormat of(WeightRole role) {
    return switch (role) {
      case EXPERT -> experts;
      case ATTENTION -> attention;
      case HEAD -> head;
      case EMBEDDING -> embedding;
      case ROUTER, SHARED_EXPERT, NORM, VISION -> WeightFormat.STORED;
    };
  }

  /** What {@link #parse} reads: one name where all are the same, else one for each role. */
  @Override
  public String toString() {
    if (equals(of(experts))) {
      return experts.toString();
    }
    return String.format(
        Locale.ROOT,
        "experts=%s,attention=%s,head=%s,embedding=%s",
        experts,
        attention,
        head,
        embedding);
  }
}
