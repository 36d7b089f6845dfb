package io.github.lightning4j.minimax.text;

import io.github.lightning4j.core.CheckpointException;
import java.io.ByteArrayOutputStream;
import java.nio.file.Path;
import java.util.OptionalInt;

/** Encodes natively, decodes from the token table. */
final class ByteLevelTokenizer implements Tokenizer {
  private final NativeTokenizer encoder;
  private final TokenTable table;
  private final OptionalInt eos;
  private final OptionalInt bos;

  private ByteLevelTokenizer(NativeTokenizer encoder, TokenizerFiles files) {
    this.encoder = encoder;
    this.table = files.table();
    this.eos = table.id(files.config().eos());
    this.bos = table.id(files.config().bos());
  }

  static Tokenizer load(Path folder) {
    TokenizerFiles files = TokenizerFiles.read(folder);
    try {
      return new ByteLevelTokenizer(new NativeTokenizer(files.json()), files);
    } catch (IllegalArgumentException e) {
      throw new CheckpointException(files.source(), "not a tokenizer: " + e.getMessage(), e);
    }
  }

  @Override
  public int[] encode(String text) {
    return encoder.encode(wholeCharacters(text));
  }

  /** Unpaired surrogates would reach the native side as three invalid bytes each. */
  private static String wholeCharacters(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        int[] points =
            text.codePoints()
                .map(p -> p >= Character.MIN_SURROGATE && p <= Character.MAX_SURROGATE ? 0xFFFD : p)
                .toArray();
        return new String(points, 0, points.length);
      }
    }
    return text;
  }

  @Override
  public String decode(int[] ids, boolean skipSpecial) {
    ByteArrayOutputStream joined = new ByteArrayOutputStream(ids.length * 4);
    for (int id : ids) {
      if (!skipSpecial || !table.isSpecial(id)) {
        joined.writeBytes(table.bytes(id));
      }
    }
    return LossyUtf8.decode(joined.toByteArray());
  }

  @Override
  public byte[] bytes(int id) {
    return table.bytes(id).clone();
  }

  @Override
  public boolean isSpecial(int id) {
    return table.isSpecial(id);
  }

  @Override
  public int vocabularySize() {
    return table.size();
  }

  @Override
  public OptionalInt id(String token) {
    return table.id(token);
  }

  @Override
  public OptionalInt eos() {
    return eos;
  }

  @Override
  public OptionalInt bos() {
    return bos;
  }

  @Override
  public void close() {
    encoder.close();
  }
}
