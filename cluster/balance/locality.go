package balance

import "github.com/sluiceproxy/sluice/config"

// localityFactors is what members' weights are multiplied by, so that
// localities get load by their own weights: by Member.Locality, from -1 on.
// Nil leaves weights alone.
type localityFactors []float64

func (f localityFactors) of(m *Member) float64 {
	if f == nil {
		return 1
	}
	return f[f.place(m)]
}

// place is where a member's locality stands. Whatever is in no known locality
// shares one.
func (f localityFactors) place(m *Member) int {
	if m.Locality < 0 || int(m.Locality) >= len(f)-1 {
		return 0
	}
	return int(m.Locality) + 1
}

// locality is what the load of a locality in one priority is computed from.
type locality struct {
	seen     bool
	weight   uint32
	counted  uint64 // members, but for the excluded
	eligible uint64 // members of the kind asked for
	load     float64
}

// effective is the locality's weight as far as its members are available
// (Envoy: HostSetImpl::effectiveLocalityWeight).
func (l *locality) effective(o *Options) float64 {
	if l.counted == 0 {
		return 0
	}
	available := float64(o.OverprovisioningFactor) / 100 * float64(l.eligible) / float64(l.counted)
	return float64(l.weight) * min(1, available)
}

// localityFactors computes the factors for a kind of members. Nobody looks at
// localities in panic, nor where none has weight, as in Envoy.
func (b *builder) localityFactors(order []int32, k kind) localityFactors {
	if !b.options.LocalityWeighted || k == everyone {
		return nil
	}
	factors := make(localityFactors, len(b.options.Localities)+1)
	list := make([]locality, len(factors))
	for _, index := range order {
		m := &b.members[index]
		list[factors.place(m)].add(m, k)
	}
	some := false
	for i := range list {
		if l := &list[i]; l.load > 0 {
			factors[i] = l.effective(&b.options) / l.load
			some = some || factors[i] > 0
		}
	}
	if !some {
		return nil
	}
	return factors
}

func (l *locality) add(m *Member, k kind) {
	if !l.seen {
		l.seen, l.weight = true, m.LocalityWeight
	}
	if m.Health != Excluded {
		l.counted++
	}
	if k.holds(m.Health) {
		l.eligible++
		l.load += m.weight()
	}
}

// LocalityShare is how much of the load goes to a locality.
type LocalityShare struct {
	Locality config.Locality // the zero Locality: members that are in none
	Percent  float64         // of all picks
}

// Localities tells the shares of the localities that have members, in the
// order of Options.Localities, and of members in none at the end.
func (t *Table) Localities() []LocalityShare {
	known := len(t.options.Localities)
	percents, seen := make([]float64, known+1), make([]bool, known+1)
	for index, percent := range t.Shares() {
		place := known
		if l := t.localities[index]; l >= 0 && int(l) < known {
			place = int(l)
		}
		percents[place] += percent
		seen[place] = true
	}
	var list []LocalityShare
	for i, percent := range percents {
		switch {
		case !seen[i]:
		case i < known:
			list = append(list, LocalityShare{t.options.Localities[i], percent})
		default:
			list = append(list, LocalityShare{Percent: percent})
		}
	}
	return list
}
