package bench

import "math"

// MoreIsBetter says which way the figure is to be read.
func (f Figure) MoreIsBetter() bool {
	return f == AnswersPerSecond || f == OpenedPerSecond || f == BitsPerSecond
}

// Figure computes one number of the measure. NaN: the measure does not have it,
// as without a proxy there is no proxy's CPU.
func (m *Measure) Figure(f Figure) float64 {
	seconds := m.Elapsed.Seconds()
	switch f {
	case AnswersPerSecond:
		return per(float64(m.Answers), seconds)
	case OpenedPerSecond:
		return per(float64(m.Opened), seconds)
	case BitsPerSecond:
		return per(8*m.bytes(), seconds)
	case P50:
		return m.latency(m.Latency.P50.Seconds())
	case P90:
		return m.latency(m.Latency.P90.Seconds())
	case P99:
		return m.latency(m.Latency.P99.Seconds())
	case P999:
		return m.latency(m.Latency.P999.Seconds())
	case Max:
		return m.latency(m.Latency.Max.Seconds())
	}
	if m.Proxy.Processes == 0 {
		return math.NaN()
	}
	return m.cost(f)
}

// cost computes the figures about the proxy's processes.
func (m *Measure) cost(f Figure) float64 {
	p := &m.Proxy
	cpu := p.CPU().Seconds()
	switch f {
	case CPUPerAnswer:
		return per(cpu, float64(m.Answers))
	case CPUPerGigabyte:
		return per(cpu, m.bytes()/1e9)
	case CPUPerOpened:
		return per(cpu, float64(m.Opened))
	case RSSPerOpened:
		return per(float64(p.Memory.RSS)-float64(p.Before.RSS), float64(m.Opened))
	case PSSPerOpened:
		return per(float64(p.Memory.PSS)-float64(p.Before.PSS), float64(m.Opened))
	case SwitchesPerUnit:
		return per(float64(p.Voluntary+p.Involuntary), m.units())
	case RSS:
		return float64(p.Memory.RSS)
	case PSS:
		return float64(p.Memory.PSS)
	}
	return math.NaN()
}

// units is how much of what the load is about was done.
func (m *Measure) units() float64 {
	switch m.Load.Kind {
	case Requests:
		return float64(m.Answers)
	case Streams:
		return m.bytes() / 1e9
	}
	return float64(m.Opened)
}

func (m *Measure) bytes() float64 { return float64(m.BytesUp + m.BytesDown) }

func (m *Measure) latency(v float64) float64 {
	if m.Latency.Count == 0 {
		return math.NaN()
	}
	return v
}

func per(a, b float64) float64 {
	if b <= 0 {
		return math.NaN()
	}
	return a / b
}
