package io.github.lightning4j.jmh.device;

/**
 * One query of one sequence over pages; successive steps are of other sequences.
 *
 * @param pages what they hold
 * @param tokens of each sequence
 * @param smoke tokens that stand for them at tiny sizes
 * @param goal what it is to reach
 */
record CacheDecodeRow(Pages pages, int tokens, int smoke, Goal goal) implements DeviceRow {
  /** As many as a graph has steps. */
  private static final int MOST = 64;

  @Override
  public String title() {
    return title(pages, tokens);
  }

  static String title(Pages pages, int tokens) {
    String heads = "64 heads on 8 kv heads of 128";
    return String.format(
        "decode over %s pages, %s, one row in a graph, tokens: %,d", pages, heads, tokens);
  }

  @Override
  public Measured measure(Scene scene) {
    CacheTensors tensors = new CacheTensors(scene, pages, scene.size(tokens, smoke), MOST);
    Job job = Job.ofBytes(tensors.decode(), tensors.count(), tensors.bytes()).asGraph();
    return tensors.checked(scene.time(job));
  }
}
