package io.github.lightning4j.core;

/**
 * Whether something can be used on this machine, and if not, why and what to do.
 *
 * @param isAvailable whether it can be used
 * @param reason what was found: a description when available, the obstacle when not
 * @param fix what the user can do about the obstacle; empty when available
 */
public record Availability(boolean isAvailable, String reason, String fix) {
  /** It can be used. */
  public static Availability available(String description) {
    return new Availability(true, description, "");
  }

  /** It cannot be used. */
  public static Availability unavailable(String reason, String fix) {
    return new Availability(false, reason, fix);
  }

  /**
   * Does nothing if available.
   *
   * @param what the name of the thing, for the message
   * @throws IllegalStateException with reason and fix if it is not available
   */
  public void ensure(String what) {
    if (!isAvailable) {
      throw new IllegalStateException(what + " is not available: " + reason + "; " + fix);
    }
  }
}
