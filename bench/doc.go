// Package bench holds the words of the load harness: what a load is, what is
// measured of it, and what a report consists of. The work is done beside it:
//
//   - bench/backend answers (echo, sink, source);
//   - bench/load makes a load and measures it, in a process of its own;
//   - bench/usage reads what processes cost from /proc;
//   - bench/subject configures and runs what is compared: sluice, its peers, and
//     no proxy at all;
//   - bench/stage is where they run: one host, or namespaces with capture;
//   - bench/compare has them measured in turn, round by round;
//   - bench/report shows the outcome as a table and as a page.
//
// cmd/sluicebench is the program around them.
package bench
