// Package usage reads from /proc what processes cost: processor time, context
// switches, memory, threads.
//
//	before, err := usage.Take([]int{pid})
//	...
//	after, err := usage.Take([]int{pid})
//	used, err := after.Since(before)
//
// A process counts with all that descend from it, as nginx's master does no work
// itself.
//
// Processor time. /proc/PID/stat tells user and system time of all threads, also
// those that have ended, in ticks of 10 ms (proc_pid_stat(5)); how the sum is
// split between the two is sampled by the kernel. The scheduler's own account in
// /proc/PID/task/TID/schedstat is in nanoseconds (up to date to the last timer
// tick, 1 to 10 ms), but forgets threads that end. So the sum is taken from
// schedstat where it agrees with stat to within what the ticks can hide, and from
// stat where it does not; the split is always stat's.
package usage
