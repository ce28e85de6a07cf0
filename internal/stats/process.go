package stats

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// SampleProcess samples what the process itself can tell: uptime since start,
// memory, what is running, and the conntrack table of its network namespace.
func (r *Registry) SampleProcess(start time.Time, version string) {
	r.Sample(ServerUptime, func() float64 { return float64(int64(time.Since(start).Seconds())) })
	r.Sample(ServerParentConnections, func() float64 { return 0 })
	r.Sample(ServerMemoryAllocated, runtimeBytes("/memory/classes/heap/objects:bytes"))
	r.Sample(ServerMemoryHeapSize, runtimeBytes(
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes"))
	r.Sample(ServerMemoryPhysicalSize, physicalBytes)
	r.Sample(BuildInfo, func() float64 { return 1 }, version, runtime.Version())
	table := conntrackTable{root: "/proc"}
	r.Sample(ConntrackEntries, table.entries)
	r.Sample(ConntrackLimit, table.limit)
	r.Sample(ConntrackInsertFailed, table.insertFailed)
}

// runtimeBytes sums runtime metrics; none of them stops the world.
func runtimeBytes(names ...string) func() float64 {
	return func() float64 {
		samples := make([]metrics.Sample, len(names))
		for i, name := range names {
			samples[i].Name = name
		}
		metrics.Read(samples)
		var sum uint64
		for _, sample := range samples {
			sum += sample.Value.Uint64()
		}
		return float64(sum)
	}
}

func physicalBytes() float64 {
	return runtimeBytes("/memory/classes/total:bytes")() - runtimeBytes("/memory/classes/heap/released:bytes")()
}
