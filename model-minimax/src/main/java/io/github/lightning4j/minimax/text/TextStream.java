package io.github.lightning4j.minimax.text;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * Turns token ids into text while they are being generated.
 *
 * <p>A character may be spread over several tokens, so each call gives the text that is complete
 * and holds back the bytes of a character that is not. The pieces, joined, equal {@link
 * Tokenizer#decode(int[], boolean)} of all ids: bytes that cannot become UTF-8 turn into U+FFFD. At
 * most three bytes are ever held. Not for use by several threads.
 *
 * <pre>{@code
 * TextStream stream = TextStream.withoutSpecial(tokenizer);
 * for (int id : ids) {
 *   print(stream.accept(id));
 * }
 * print(stream.finish());
 * }</pre>
 */
public final class TextStream {
  private final Tokenizer tokenizer;
  private final boolean skipSpecial;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);
  private ByteBuffer held = ByteBuffer.allocate(0);

  private TextStream(Tokenizer tokenizer, boolean skipSpecial) {
    this.tokenizer = tokenizer;
    this.skipSpecial = skipSpecial;
  }

  /**
   * A stream of all tokens.
   *
   * @param tokenizer gives the bytes of each token
   * @return a new stream
   */
  public static TextStream of(Tokenizer tokenizer) {
    return new TextStream(tokenizer, false);
  }

  /**
   * A stream that leaves out special tokens.
   *
   * @param tokenizer gives the bytes of each token
   * @return a new stream
   */
  public static TextStream withoutSpecial(Tokenizer tokenizer) {
    return new TextStream(tokenizer, true);
  }

  /**
   * Takes the next token.
   *
   * @param id its id
   * @return the text that is now complete, often one word, sometimes nothing
   * @throws IllegalArgumentException if the id is outside the vocabulary
   */
  public String accept(int id) {
    if (tokenizer.isSpecial(id) && skipSpecial) {
      return "";
    }
    byte[] bytes = tokenizer.bytes(id);
    ByteBuffer input = ByteBuffer.allocate(held.remaining() + bytes.length);
    input.put(held).put(bytes).flip();
    LossyUtf8.separateSurrogates(input.array(), input.limit());
    CharBuffer text = CharBuffer.allocate(input.remaining());
    decoder.decode(input, text, false);
    held = input;
    return text.flip().toString();
  }

  /**
   * Ends the text; the stream can then be used for another one.
   *
   * @return U+FFFD for what was left incomplete, otherwise nothing
   */
  public String finish() {
    CharBuffer text = CharBuffer.allocate(held.remaining());
    decoder.decode(held, text, true);
    decoder.flush(text);
    decoder.reset();
    held = ByteBuffer.allocate(0);
    return text.flip().toString();
  }
}
