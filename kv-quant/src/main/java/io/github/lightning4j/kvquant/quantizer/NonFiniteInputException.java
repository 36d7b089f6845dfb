package io.github.lightning4j.kvquant.quantizer;

/**
 * A key or value to be quantized holds NaN or an infinity. Nothing was stored. The usual cause is
 * an overflow in the model; a group with such a value has no scale.
 *
 * <p>Layer, head and token are {@value #UNKNOWN} where nobody who knew them has passed the
 * exception on by {@link #at}.
 */
public final class NonFiniteInputException extends IllegalArgumentException {
  /** Stands for a position that is not known. */
  public static final int UNKNOWN = -1;

  private static final long serialVersionUID = 1L;

  private final String what;
  private final int layer;
  private final int head;
  private final long token;
  private final int channel;
  private final float value;

  /**
   * A value found in a row.
   *
   * @param what the row's name, {@code "key"} or {@code "value"} as a rule
   * @param channel where in the row
   * @param value what was there
   */
  public NonFiniteInputException(String what, int channel, float value) {
    this(what, UNKNOWN, UNKNOWN, UNKNOWN, channel, value);
  }

  private NonFiniteInputException(
      String what, int layer, int head, long token, int channel, float value) {
    super(
        what
            + known(", layer ", layer)
            + known(", head ", head)
            + known(", token ", token)
            + ", channel "
            + channel
            + ": expected a finite number, got "
            + value);
    this.what = what;
    this.layer = layer;
    this.head = head;
    this.token = token;
    this.channel = channel;
    this.value = value;
  }

  private static String known(String name, long at) {
    return at == UNKNOWN ? "" : name + at;
  }

  /** The same fault with its place; {@value #UNKNOWN} leaves a part as it is. */
  public NonFiniteInputException at(String what, int layer, int head, long token) {
    var placed =
        new NonFiniteInputException(
            what,
            layer == UNKNOWN ? this.layer : layer,
            head == UNKNOWN ? this.head : head,
            token == UNKNOWN ? this.token : token,
            channel,
            value);
    placed.initCause(this);
    return placed;
  }

  /** The name of the row. */
  public String what() {
    return what;
  }

  /** The layer, or {@value #UNKNOWN}. */
  public int layer() {
    return layer;
  }

  /** The head, or {@value #UNKNOWN}. */
  public int head() {
    return head;
  }

  /** The token, or {@value #UNKNOWN}. */
  public long token() {
    return token;
  }

  /** The channel within the row. */
  public int channel() {
    return channel;
  }

  /** NaN or an infinity. */
  public float value() {
    return value;
  }
}
