package cgroup

import (
	"path"
	"strings"
	"testing"
)

// FuzzHierarchies looks for files of the kernel that lead out of the mount, or
// to a walk up that does not end.
func FuzzHierarchies(f *testing.F) {
	for _, tc := range memoryCases() {
		f.Add(tc.groups, tc.mounts)
	}
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		for _, h := range hierarchies(groups, mounts) {
			if !path.IsAbs(h.group) || strings.Contains(h.group+"/", "/../") || path.Clean(h.group) != h.group {
				t.Errorf("group %q", h.group)
			}
		}
	})
}
