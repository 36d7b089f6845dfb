package io.github.lightning4j.minimax.text;

import io.github.lightning4j.minimax.text.TemplateLexer.Kind;
import io.github.lightning4j.minimax.text.TemplateLexer.Piece;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A template in Jinjava's dialect, with the way back to the lines of the original.
 *
 * <p>Jinjava 2.8 reads most of Jinja, but not as Python does: {@code lstrip_blocks} strips in the
 * middle of a line, string literals know fewer escapes and do not join, and {@code for ... if} and
 * {@code for ... else} quietly print nothing. So {@link TemplateLexer} does the whitespace, {@link
 * TemplateExpression} the literals, and what Jinjava would get wrong in silence is refused here.
 * {@code generation} blocks only mark text for training and are passed through.
 *
 * <p>Each piece, text too, becomes one tag that ends with the only line break in it: the n-th piece
 * ends on line n + 1, which is how a line in an error finds back.
 */
final class TemplateTranslation {
  /** Tags that need an end, with the end. */
  private static final Map<String, String> BLOCKS =
      Map.of(
          "if", "endif",
          "for", "endfor",
          "macro", "endmacro",
          "set", "endset",
          "generation", "endgeneration");

  private static final Set<String> INSIDE_IF = Set.of("elif", "else");
  private static final Set<String> INSIDE_FOR = Set.of("break", "continue");

  private record Open(String tag, int line) {}

  private final String name;
  private final StringBuilder out = new StringBuilder();
  private final List<Integer> lines = new ArrayList<>();
  private final Deque<Open> open = new ArrayDeque<>();

  private TemplateTranslation(String name) {
    this.name = name;
  }

  static TemplateTranslation of(String name, String template) {
    TemplateTranslation translation = new TemplateTranslation(name);
    for (Piece piece : TemplateLexer.pieces(name, template)) {
      translation.add(piece);
    }
    if (!translation.open.isEmpty()) {
      Open last = translation.open.peek();
      throw translation.error(last.line(), last.tag() + " without " + BLOCKS.get(last.tag()));
    }
    return translation;
  }

  /** The text for Jinjava. */
  String text() {
    return out.toString();
  }

  /** The line of the original that a line of {@link #text()} comes from. */
  int line(int translated) {
    int piece = Math.max(0, Math.min(translated - 2, lines.size() - 1));
    return lines.isEmpty() ? 1 : lines.get(piece);
  }

  private void add(Piece piece) {
    if (piece.kind() == Kind.TEXT) {
      emit("{{ " + TemplateExpression.quote(piece.body()) + "\n}}", piece.line());
    } else if (piece.kind() == Kind.PRINT) {
      emit("{{ " + TemplateExpression.rewrite(piece.body()) + "\n}}", piece.line());
    } else if (passes(piece)) {
      emit("{% " + TemplateExpression.rewrite(piece.body()) + "\n%}", piece.line());
    }
  }

  private void emit(String tag, int line) {
    out.append(tag);
    lines.add(line);
  }

  /** Checks a tag against the blocks that are open; false if it only marks something. */
  private boolean passes(Piece piece) {
    List<String> words = TemplateExpression.words(piece.body());
    String tag = words.isEmpty() ? "" : words.get(0);
    String inside = open.isEmpty() ? "" : open.peek().tag();
    if (BLOCKS.containsKey(tag)) {
      begin(tag, words, piece.line());
    } else if (!open.isEmpty() && tag.equals(BLOCKS.get(inside))) {
      open.pop();
    } else if (BLOCKS.containsValue(tag)) {
      throw error(piece.line(), tag + " without its beginning");
    } else if (INSIDE_IF.contains(tag) && !inside.equals("if")) {
      throw error(
          piece.line(),
          tag + (inside.equals("for") ? " in a for is not supported" : " without if"));
    } else if (INSIDE_FOR.contains(tag) && open.stream().noneMatch(o -> o.tag().equals("for"))) {
      throw error(piece.line(), tag + " without for");
    } else if (!INSIDE_IF.contains(tag) && !INSIDE_FOR.contains(tag)) {
      throw error(piece.line(), "tag \"" + tag + "\" is not supported");
    }
    return !tag.endsWith("generation");
  }

  private void begin(String tag, List<String> words, int line) {
    if (tag.equals("for") && (words.contains("if") || words.contains("recursive"))) {
      throw error(line, "for ... if and for ... recursive are not supported; put an if inside");
    }
    if (!tag.equals("set") || !words.contains("=")) {
      open.push(new Open(tag, line));
    }
  }

  private IllegalArgumentException error(int line, String what) {
    return new IllegalArgumentException(name + ":" + line + ": " + what);
  }
}
