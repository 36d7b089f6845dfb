package io.github.lightning4j.jmh.device;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/**
 * What came of a row, ours or one of a peer; a line of JSON.
 *
 * @param row its title
 * @param goal what it is to reach; null for a peer
 * @param timing null where it was not measured
 * @param bytes that a step must read and write, or 0
 * @param operations that a step must do, or 0
 * @param yardstick what others are held against it for
 * @param beside for a peer the title of our row that does the same
 * @param factor how many times as fast as this peer our row is to be; 0 where there is no goal
 * @param note why it was not measured, or what one must know of it
 * @param verdict of what is not timed, from the program that ran it; null otherwise
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
@JsonIgnoreProperties(ignoreUnknown = true)
record DeviceResult(
    String row,
    @Nullable Goal goal,
    @Nullable Timing timing,
    double bytes,
    double operations,
    Goal.@Nullable Kind yardstick,
    @Nullable String beside,
    double factor,
    @Nullable String note,
    @Nullable String verdict) {

  static DeviceResult measured(DeviceRow row, Measured measured, @Nullable String note) {
    return new DeviceResult(
        row.title(),
        row.goal(),
        measured.timing(),
        measured.bytes(),
        measured.operations(),
        row.yardstick(),
        null,
        0,
        note,
        null);
  }

  static DeviceResult unmeasured(DeviceRow row, String reason) {
    return new DeviceResult(row.title(), row.goal(), null, 0, 0, null, null, 0, reason, null);
  }

  /** What it moved or did in a second, by what a goal asks for; NaN where that is not known. */
  double rate(Goal.Kind kind) {
    double work = kind == Goal.Kind.MATRIX_RATE ? operations : bytes;
    return timing == null || work == 0 ? Double.NaN : work / timing.medianUs() * 1e6;
  }

  /** How many times as fast as another row: by operations a second, or by steps. */
  double speedOver(DeviceResult other) {
    double rates = rate(Goal.Kind.MATRIX_RATE) / other.rate(Goal.Kind.MATRIX_RATE);
    boolean known = timing != null && other.timing != null;
    double steps = known ? other.timing.medianUs() / timing.medianUs() : Double.NaN;
    return Double.isNaN(rates) ? steps : rates;
  }
}
