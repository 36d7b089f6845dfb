package io.github.lightning4j.minimax.text;

import java.util.ArrayList;
import java.util.List;

/**
 * Rewrites the inside of a tag from Python's Jinja to the one Jinjava reads.
 *
 * <p>String literals are the difference: Python knows more escapes, keeps unknown ones, allows line
 * breaks, and joins literals that stand side by side ({@code 'a' 'b'}, also {@code 'a''b'}). They
 * come out as one literal with only the escapes Jinjava knows. Closing braces are kept apart,
 * because Jinjava ends an expression at the first {@code }}} it meets.
 */
final class TemplateExpression {
  private static final String OPENING = "([{";
  private static final String CLOSING = ")]}";

  private TemplateExpression() {}

  /**
   * Finds the closing delimiter: of {@code %}} or {@code }}}, with its sign, outside string
   * literals and brackets.
   *
   * @return its index (that of the sign, if there is one), or -1
   */
  static int end(String source, int from, char close) {
    int depth = 0;
    for (int i = from; i < source.length(); i++) {
      char c = source.charAt(i);
      if (depth == 0) {
        boolean signed = c == '-' || c == '+' && close == '%';
        int at = signed ? i + 1 : i;
        if (at + 1 < source.length()
            && source.charAt(at) == close
            && source.charAt(at + 1) == '}') {
          return i;
        }
      }
      if (c == '\'' || c == '"') {
        i = literalEnd(source, i) - 1;
        if (i < from) {
          return -1;
        }
      } else if (OPENING.indexOf(c) >= 0) {
        depth++;
      } else if (CLOSING.indexOf(c) >= 0) {
        depth--;
      }
    }
    return -1;
  }

  /** The index behind a literal that opens at an index, or -1 if it never ends. */
  private static int literalEnd(String source, int open) {
    for (int i = open + 1; i < source.length(); i++) {
      if (source.charAt(i) == '\\') {
        i++;
      } else if (source.charAt(i) == source.charAt(open)) {
        return i + 1;
      }
    }
    return -1;
  }

  /** The rewritten text, on one line. */
  static String rewrite(String body) {
    StringBuilder out = new StringBuilder();
    int i = 0;
    while (i < body.length()) {
      char c = body.charAt(i);
      if (c == '\'' || c == '"') {
        StringBuilder value = new StringBuilder();
        i = literals(body, i, value);
        out.append(quote(value.toString()));
      } else {
        out.append(Character.isWhitespace(c) ? ' ' : c);
        i++;
        if (c == '}' && i < body.length() && body.charAt(i) == '}') {
          out.append(' ');
        }
      }
    }
    return out.toString();
  }

  /** Reads literals with nothing but blank between them; returns the index behind the last. */
  private static int literals(String body, int open, StringBuilder value) {
    int next = open;
    int end = open;
    while (next < body.length() && (body.charAt(next) == '\'' || body.charAt(next) == '"')) {
      end = literalEnd(body, next);
      unescape(body.substring(next + 1, end - 1), value);
      next = end;
      while (next < body.length() && Character.isWhitespace(body.charAt(next))) {
        next++;
      }
    }
    return end;
  }

  private static void unescape(String raw, StringBuilder value) {
    for (int i = 0; i < raw.length(); i++) {
      char c = raw.charAt(i);
      if (c != '\\' || i + 1 == raw.length()) {
        value.append(c);
        continue;
      }
      char escape = raw.charAt(++i);
      int simple = "\\'\"abfnrtv".indexOf(escape);
      int digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
      if (simple >= 0) {
        value.append("\\'\"\u0007\b\f\n\r\t\u000b".charAt(simple));
      } else if (digits > 0 && raw.substring(i + 1).matches("(?s)[0-9a-fA-F]{" + digits + "}.*")) {
        value.appendCodePoint(Integer.parseInt(raw.substring(i + 1, i + 1 + digits), 16));
        i += digits;
      } else if (escape != '\n') {
        value.append('\\').append(escape);
      }
    }
  }

  /** A literal that Jinjava reads as the given text. */
  static String quote(String value) {
    StringBuilder out = new StringBuilder("'");
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      int escape = "\\'\n\r\t\b\f".indexOf(c);
      if (escape >= 0) {
        out.append('\\').append("\\'nrtbf".charAt(escape));
      } else {
        out.append(c);
      }
    }
    return out.append('\'').toString();
  }

  /** The words of a tag that stand outside literals and brackets. */
  static List<String> words(String body) {
    List<String> words = new ArrayList<>();
    StringBuilder word = new StringBuilder();
    int depth = 0;
    for (int i = 0; i <= body.length(); i++) {
      char c = i < body.length() ? body.charAt(i) : ' ';
      if (depth == 0 && Character.isJavaIdentifierPart(c)) {
        word.append(c);
        continue;
      }
      if (word.length() > 0) {
        words.add(word.toString());
        word.setLength(0);
      }
      if (c == '\'' || c == '"') {
        i = literalEnd(body, i) - 1;
      } else if (OPENING.indexOf(c) >= 0) {
        depth++;
      } else if (CLOSING.indexOf(c) >= 0) {
        depth--;
      } else if (depth == 0 && c == '=') {
        words.add("=");
      }
    }
    return words;
  }
}
