package io.github.lightning4j.minimax.text;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Writes JSON as Python's {@code json.dumps(value, ensure_ascii=False)} does, byte for byte.
 *
 * <p>The model saw tools in this form: a space after each comma and colon, keys in the order they
 * came, nothing escaped that need not be, floats in Python's shortest spelling.
 */
final class PythonJson {
  private final StringBuilder out = new StringBuilder();
  private final int indent;

  private PythonJson(int indent) {
    this.indent = indent;
  }

  /** On one line. */
  static String write(@Nullable Object value) {
    return write(value, -1);
  }

  /** With line breaks and so many spaces a level, or on one line for a negative indent. */
  static String write(@Nullable Object value, int indent) {
    PythonJson json = new PythonJson(indent);
    json.value(value, 1);
    return json.out.toString();
  }

  private void value(@Nullable Object value, int depth) {
    if (value == null || value instanceof Boolean || value instanceof BigInteger) {
      out.append(value);
    } else if (value instanceof Number number) {
      out.append(isWhole(number) ? number.toString() : real(number.doubleValue()));
    } else if (value instanceof Map<?, ?> map) {
      object(map, depth);
    } else if (value instanceof List<?> list) {
      array(list, depth);
    } else if (value instanceof CharSequence || value instanceof Character) {
      string(value.toString());
    } else {
      throw new IllegalArgumentException(
          "tojson: expected a map, list, string, number or boolean, got "
              + value.getClass().getName());
    }
  }

  private static boolean isWhole(Number number) {
    return number instanceof Integer
        || number instanceof Long
        || number instanceof Short
        || number instanceof Byte;
  }

  private void object(Map<?, ?> map, int depth) {
    out.append('{');
    String separator = "";
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      separator = separate(separator, depth);
      string(String.valueOf(entry.getKey()));
      out.append(": ");
      value(entry.getValue(), depth + 1);
    }
    close('}', map.isEmpty(), depth);
  }

  private void array(List<?> list, int depth) {
    out.append('[');
    String separator = "";
    for (Object element : list) {
      separator = separate(separator, depth);
      value(element, depth + 1);
    }
    close(']', list.isEmpty(), depth);
  }

  private String separate(String separator, int depth) {
    out.append(separator);
    if (indent < 0) {
      return ", ";
    }
    out.append('\n').append(" ".repeat(indent * depth));
    return ",";
  }

  private void close(char bracket, boolean empty, int depth) {
    if (indent >= 0 && !empty) {
      out.append('\n').append(" ".repeat(indent * (depth - 1)));
    }
    out.append(bracket);
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      int escape = "\"\\\n\r\t\b\f".indexOf(c);
      if (escape >= 0) {
        out.append('\\').append("\"\\nrtbf".charAt(escape));
      } else if (c < 0x20) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }

  /** Python's repr: the fewest digits that read back, an exponent outside 1e-4 to 1e16. */
  private static String real(double value) {
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      return String.valueOf(value);
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal shortest = shortest(value);
    int exponent = shortest.precision() - shortest.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = shortest.toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    String digits = shortest.unscaledValue().abs().toString();
    String mantissa = digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
    return (value < 0 ? "-" : "")
        + mantissa
        + (exponent < 0 ? "e-" : "e+")
        + (Math.abs(exponent) < 10 ? "0" : "")
        + Math.abs(exponent);
  }

  private static BigDecimal shortest(double value) {
    BigDecimal exact = new BigDecimal(value);
    for (int digits = 1; digits < 17; digits++) {
      BigDecimal rounded = exact.round(new MathContext(digits));
      if (rounded.doubleValue() == value) {
        return rounded.stripTrailingZeros();
      }
    }
    return exact.round(new MathContext(17)).stripTrailingZeros();
  }
}
