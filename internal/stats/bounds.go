package stats

// boundsMicros are the upper bounds of Envoy's default histogram buckets
// (0.5 ms to one hour; HistogramSettingsImpl::defaultBuckets, printed in the
// admin documentation under /stats?histogram_buckets), in microseconds.
var boundsMicros = [...]uint64{
	500, 1e3, 5e3, 10e3, 25e3, 50e3, 100e3, 250e3, 500e3, 1000e3, 2500e3, 5000e3,
	10000e3, 30000e3, 60000e3, 300000e3, 600000e3, 1800000e3, 3600000e3,
}

const (
	histogramSum   = len(boundsMicros) + 1 // after the buckets and the one without a bound
	histogramCells = histogramSum + 1
	microsPerMilli = 1000
)

// distribution is one histogram's values, summed over all loops.
type distribution struct {
	buckets []uint64 // not cumulative; the last has no upper bound
	sum     uint64   // microseconds
	count   uint64
}

func newDistribution(cells []uint64) distribution {
	d := distribution{buckets: cells[:histogramSum], sum: cells[histogramSum]}
	for _, n := range d.buckets {
		d.count += n
	}
	return d
}

// boundMillis is the upper bound of bucket i in milliseconds, the unit that
// Envoy prints.
func boundMillis(i int) float64 { return float64(boundsMicros[i]) / microsPerMilli }

// supportedPercents are the quantiles of Envoy's /stats
// (HistogramStatisticsImpl::supportedQuantiles), in percent.
var supportedPercents = [...]float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// percentile estimates the value, in milliseconds, that percent of the
// observations do not exceed: linear inside a bucket, and the last bound for
// what exceeds all bounds.
func (d distribution) percentile(percent float64) float64 {
	rank := percent / 100 * float64(d.count)
	var below float64
	for i, n := range d.buckets {
		if n == 0 {
			continue
		}
		if i == len(boundsMicros) {
			return boundMillis(i - 1)
		}
		if count := float64(n); below+count >= rank {
			var lower float64
			if i > 0 {
				lower = boundMillis(i - 1)
			}
			return lower + (boundMillis(i)-lower)*(rank-below)/count
		}
		below += float64(n)
	}
	return 0
}
