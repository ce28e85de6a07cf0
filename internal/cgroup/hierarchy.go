package cgroup

import (
	"path"
	"slices"
	"strings"
)

// hierarchy is one tree of control groups that can limit memory.
type hierarchy struct {
	mount string // where it is mounted
	group string // of this process, below mount; "/" is its top
	file  string // of each group, with the limit
}

// hierarchies finds the trees that a process is in. groups is
// /proc/self/cgroup, whose lines are ID:CONTROLLERS:PATH, version 2 with 0 and
// no controllers; mounts is /proc/self/mountinfo.
func hierarchies(groups, mounts string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		version1 := slices.Contains(strings.Split(fields[1], ","), "memory")
		if !version1 && fields[1] != "" {
			continue
		}
		kind, file := "cgroup2", "memory.max"
		if version1 {
			kind, file = "cgroup", "memory.limit_in_bytes"
		}
		if mount, top, ok := mounted(mounts, kind); ok {
			found = append(found, hierarchy{mount: mount, group: below(top, fields[2]), file: file})
		}
	}
	return found
}

// mounted finds where a tree is mounted, and which of its groups is at the
// top there. The fields are those of proc_pid_mountinfo(5): 3 is the root, 4
// the mount point, and after a lone "-" come type, source and options.
func mounted(mounts, kind string) (mount, top string, ok bool) {
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 || fields[dash+1] != kind {
			continue
		}
		if kind == "cgroup" && !slices.Contains(strings.Split(fields[dash+3], ","), "memory") {
			continue
		}
		return unescape(fields[4]), unescape(fields[3]), true
	}
	return "", "", false
}

// below is a group's path from the top of the mount. A group outside of what
// is mounted, as a container without a cgroup namespace may name it, counts as
// the top: nearer limits cannot be seen.
func below(top, group string) string {
	rest, inside := strings.CutPrefix(path.Clean(group), strings.TrimSuffix(top, "/"))
	if !inside || rest != "" && rest[0] != '/' || slices.Contains(strings.Split(group, "/"), "..") {
		return "/"
	}
	return path.Join("/", rest)
}

// unescape undoes the octal escapes of mountinfo.
func unescape(name string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(name)
}
