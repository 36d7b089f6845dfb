package io.github.lightning4j.jmh.device;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One call of a test method, or the beginning of one, as a line of JSON.
 *
 * @param method class and method
 * @param call what the call is named, or the method for a whole method
 * @param state how it stands
 * @param ms how long it took
 * @param message what went wrong, or why it was skipped
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
record TestRecord(String method, String call, State state, long ms, @Nullable String message) {
  private static final JsonMapper JSON = new JsonMapper();

  /** How a call stands. */
  enum State {
    /** Without a later line: the process ended in the middle of it. */
    BEGUN,
    ENDED,
    PASSED,
    FAILED,
    SKIPPED
  }

  void appendTo(Path file) throws IOException {
    Files.writeString(
        file,
        JSON.writeValueAsString(this) + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
  }

  static List<TestRecord> read(Path file) throws IOException {
    List<TestRecord> records = new ArrayList<>();
    if (Files.exists(file)) {
      for (String line : Files.readAllLines(file)) {
        records.add(JSON.readValue(line, TestRecord.class));
      }
    }
    return records;
  }
}
