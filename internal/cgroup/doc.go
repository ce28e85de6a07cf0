// Package cgroup tells how much memory the control groups of this process
// allow it, so that the garbage collector works harder before the kernel kills.
//
//	limit, err := cgroup.MemoryLimit(os.DirFS("/"))
//	if err == nil && limit.Bytes > 0 { debug.SetMemoryLimit(limit.Bytes / 10 * 9) }
//
// It knows version 2 (memory.max) and version 1 (memory.limit_in_bytes), with a
// cgroup namespace and without: cgroups(7), cgroup_namespaces(7).
package cgroup
