package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * How many bits an element of a key or value takes, by the class of its token.
 *
 * <pre>average = sum_c bits_c n_c / T        n_c tokens of class c, T = sum_c n_c
 * </pre>
 *
 * <p>With the presets, n16 recent and pivot tokens and n4 text tokens at 4 bits, this is AKVQ-VL's
 * {@code 2 + 14 n16 / T + 2 n4 / T}. It counts payload alone: scales and zero points come on top,
 * {@code m / g} bits an element for m bits of them in each group of g elements, and how AKVQ-VL
 * stores these is not known.
 *
 * <table>
 * <caption>Presets</caption>
 * <tr><th>name</th><th>recent</th><th>pivot</th><th>text</th><th>visual</th><th>layers</th></tr>
 * <tr><td>{@code akvq-2}</td><td>16</td><td>16</td><td>2</td><td>2</td><td>pivot-salient</td></tr>
 * <tr><td>{@code akvq-2-text4}</td><td>16</td><td>16</td><td>4</td><td>2</td><td>text-salient</td>
 * </tr>
 * </table>
 *
 * @param recent bits of a recent token
 * @param pivot bits of a pivot token
 * @param text bits of any other text token
 * @param visual bits of any other visual token
 */
public record BitBudget(int recent, int pivot, int text, int visual) {
  private static final Set<Integer> WIDTHS = Set.of(2, 3, 4, 8, 16);
  private static final Map<String, BitBudget> PRESETS =
      new TreeMap<>(
          Map.of(
              "akvq-2", new BitBudget(16, 16, 2, 2),
              "akvq-2-text4", new BitBudget(16, 16, 4, 2)));

  /**
   * Checks the widths.
   *
   * @throws IllegalArgumentException if one is not 2, 3, 4, 8 or 16 (which is not quantised)
   */
  public BitBudget {
    checkWidth("recent", recent);
    checkWidth("pivot", pivot);
    checkWidth("text", text);
    checkWidth("visual", visual);
  }

  /**
   * The preset of this name.
   *
   * @throws IllegalArgumentException if there is none; the message lists those that are
   */
  public static BitBudget preset(String name) {
    BitBudget budget = PRESETS.get(name);
    if (budget == null) {
      throw new IllegalArgumentException(
          "name: expected one of " + PRESETS.keySet() + ", got '" + name + "'");
    }
    return budget;
  }

  /** The bits of an element of a token of this class. */
  public int bits(TokenClass tokenClass) {
    return switch (tokenClass) {
      case RECENT -> recent;
      case PIVOT -> pivot;
      case TEXT -> text;
      case VISUAL -> visual;
    };
  }

  /**
   * The average bits of an element over all tokens of a layer's cache, without metadata.
   *
   * @param tokens how many tokens there are of each class, each token counted once; a class that is
   *     left out has none
   * @throws IllegalArgumentException if a count is negative or there is no token at all
   */
  public double averageBits(Map<TokenClass, Long> tokens) {
    double total = 0;
    double bits = 0;
    for (Map.Entry<TokenClass, Long> entry : tokens.entrySet()) {
      long count = entry.getValue();
      checkArgument(count >= 0, "tokens: expected %s >= 0, got %s", entry.getKey(), count);
      total += count;
      bits += (double) bits(entry.getKey()) * count;
    }
    checkArgument(total > 0, "tokens: expected at least one, got %s", tokens);
    return bits / total;
  }

  private static void checkWidth(String name, int bits) {
    checkArgument(WIDTHS.contains(bits), "%s: expected 2, 3, 4, 8 or 16 bits, got %s", name, bits);
  }
}
