package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.io.Writer;

/**
 * Where a command writes.
 *
 * @param out results, and nothing else
 * @param err remarks
 * @param terminal whether somebody watches, so that progress is worth showing
 */
record Console(PrintWriter out, PrintWriter err, boolean terminal) {
  /** One object, the whole of what a command with {@code --json} prints. */
  void json(ObjectNode result) {
    out.println(result.toPrettyString());
  }

  /** Writes nothing. */
  Console silent() {
    PrintWriter nothing = new PrintWriter(Writer.nullWriter());
    return new Console(nothing, nothing, false);
  }

  /** The same console with nobody watching, for commands with {@code --json}. */
  Console unwatched(boolean json) {
    return json ? new Console(out, err, false) : this;
  }
}
