package io.github.lightning4j.minimax.text;

import java.util.ArrayList;
import java.util.List;

/**
 * Cuts a Jinja template into text, printed expressions and tags, with Python's whitespace control.
 *
 * <p>{@code trim_blocks} and {@code lstrip_blocks} are on, as chat templates expect: the line break
 * after a tag or comment goes, and so does the blank in front of one that is first on its line;
 * {@code -} strips all blank on its side, {@code +} leaves it. A template's last line break is
 * dropped. Comments vanish, {@code raw} blocks become text.
 */
final class TemplateLexer {
  /** What a piece is. */
  enum Kind {
    TEXT,
    PRINT,
    TAG
  }

  /**
   * A piece.
   *
   * @param kind what it is
   * @param body text as it is to be printed; expression or tag without delimiters and signs
   * @param line where it begins, counted from 1
   */
  record Piece(Kind kind, String body, int line) {}

  private final String name;
  private final String source;
  private final List<Piece> pieces = new ArrayList<>();
  private int position;
  private boolean lineStarting = true;

  private TemplateLexer(String name, String source) {
    this.name = name;
    this.source = source;
  }

  static List<Piece> pieces(String name, String template) {
    String source = template.replace("\r\n", "\n").replace('\r', '\n');
    if (source.endsWith("\n")) {
      source = source.substring(0, source.length() - 1);
    }
    TemplateLexer lexer = new TemplateLexer(name, source);
    lexer.run();
    return lexer.pieces;
  }

  private void run() {
    while (true) {
      int open = nextOpen();
      if (open < 0) {
        text(source.substring(position));
        return;
      }
      char kind = source.charAt(open + 1);
      text(stripBefore(open, kind));
      position = open + 2 + (isSign(open + 2, kind) ? 1 : 0);
      switch (kind) {
        case '#' -> comment(open);
        case '{' -> print(open);
        default -> tag(open);
      }
    }
  }

  private int nextOpen() {
    for (int i = source.indexOf('{', position); i >= 0; i = source.indexOf('{', i + 1)) {
      if (i + 1 < source.length() && "{%#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return -1;
  }

  private boolean isSign(int at, char kind) {
    char c = at < source.length() ? source.charAt(at) : 0;
    return c == '-' || c == '+' && kind != '{';
  }

  /** The text up to an opening delimiter, stripped as its sign and place ask. */
  private String stripBefore(int open, char kind) {
    String text = source.substring(position, open);
    char sign = open + 2 < source.length() ? source.charAt(open + 2) : 0;
    if (sign == '-') {
      int end = text.length();
      while (end > 0 && isBlank(text.charAt(end - 1))) {
        end--;
      }
      return text.substring(0, end);
    }
    int line = text.lastIndexOf('\n') + 1;
    boolean first = (line > 0 || lineStarting) && blank(text, line);
    return sign != '+' && kind != '{' && first ? text.substring(0, line) : text;
  }

  private void comment(int open) {
    int end = source.indexOf("#}", position);
    if (end < 0) {
      throw error(open, "comment without #}");
    }
    char sign = end > position ? source.charAt(end - 1) : 0;
    position = end + 2;
    skipAfter(sign == '-' || sign == '+' ? sign : '%');
  }

  private void print(int open) {
    int end = TemplateExpression.end(source, position, '}');
    if (end < 0) {
      throw error(open, "{{ without }}");
    }
    boolean strip = source.charAt(end) == '-';
    pieces.add(new Piece(Kind.PRINT, source.substring(position, end), line(open)));
    position = end + (strip ? 3 : 2);
    skipAfter(strip ? '-' : '+');
  }

  private void tag(int open) {
    int end = TemplateExpression.end(source, position, '%');
    if (end < 0) {
      throw error(open, "{% without %}");
    }
    char sign = source.charAt(end);
    String body = source.substring(position, end).strip();
    position = end + (sign == '%' ? 2 : 3);
    if (body.equals("raw")) {
      skipAfter(sign == '-' ? '-' : '+');
      raw(open);
    } else {
      pieces.add(new Piece(Kind.TAG, body, line(open)));
      skipAfter(sign);
    }
  }

  /** Text up to {@code {% endraw %}}. */
  private void raw(int open) {
    for (int i = source.indexOf("{%", position); i >= 0; i = source.indexOf("{%", i + 2)) {
      int word = i + 2 + (isSign(i + 2, '%') ? 1 : 0);
      int end = TemplateExpression.end(source, word, '%');
      if (end >= 0 && source.substring(word, end).strip().equals("endraw")) {
        text(stripBefore(i, '%'));
        char sign = source.charAt(end);
        position = end + (sign == '%' ? 2 : 3);
        skipAfter(sign);
        return;
      }
    }
    throw error(open, "raw without endraw");
  }

  /** After a closing delimiter: {@code -} skips all blank, {@code %} one line break. */
  private void skipAfter(char sign) {
    int start = position;
    if (sign == '-') {
      while (position < source.length() && isBlank(source.charAt(position))) {
        position++;
      }
    } else if (sign == '%' && position < source.length() && source.charAt(position) == '\n') {
      position++;
    }
    lineStarting = position > start && source.charAt(position - 1) == '\n';
  }

  private void text(String text) {
    if (!text.isEmpty()) {
      pieces.add(new Piece(Kind.TEXT, text, line(position)));
    }
  }

  private static boolean blank(String text, int from) {
    for (int i = from; i < text.length(); i++) {
      if (!isBlank(text.charAt(i))) {
        return false;
      }
    }
    return true;
  }

  /** Python's idea of white space, which knows the no-break space. */
  private static boolean isBlank(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  private int line(int at) {
    return 1 + (int) source.substring(0, at).chars().filter(c -> c == '\n').count();
  }

  private IllegalArgumentException error(int at, String what) {
    return new IllegalArgumentException(name + ":" + line(at) + ": " + what);
  }
}
