package io.github.lightning4j.minimax.text;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/** What each token id stands for: its bytes, its name, and whether it is special. */
final class TokenTable {
  private final Map<String, Integer> ids = new HashMap<>();
  private final BitSet special = new BitSet();
  private byte @Nullable [][] bytes;
  private int size;

  TokenTable(int expected) {
    bytes = new byte[Math.max(16, expected)][];
  }

  /** Enters a token. An id entered again (a base token that is also an added one) is replaced. */
  void put(int id, String token, boolean isSpecial) {
    reserve(id + 1);
    bytes[id] = ByteLevel.bytes(token);
    special.set(id, isSpecial);
    ids.put(token, id);
  }

  /** Grows the vocabulary to a size; new slots have no token. */
  void reserve(int vocabularySize) {
    size = Math.max(size, vocabularySize);
    if (size > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.max(size, bytes.length * 2));
    }
  }

  int size() {
    return size;
  }

  OptionalInt id(@Nullable String token) {
    Integer id = token == null ? null : ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  boolean isSpecial(int id) {
    check(id);
    return special.get(id) || bytes[id] == null;
  }

  /** The bytes of a token, not copied. */
  byte[] bytes(int id) {
    check(id);
    byte[] known = bytes[id];
    return known != null ? known : ("<reserved_" + id + ">").getBytes(StandardCharsets.UTF_8);
  }

  private void check(int id) {
    if (id < 0 || id >= size) {
      throw new IllegalArgumentException(
          "token id: expected 0 to " + (size - 1) + " (vocabulary of " + size + "), got " + id);
    }
  }
}
