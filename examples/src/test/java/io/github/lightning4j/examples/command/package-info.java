/** Runs the command inside this process, as a user would, and looks at all it leaves behind. */
@NullMarked
package io.github.lightning4j.examples.command;

import org.jspecify.annotations.NullMarked;
