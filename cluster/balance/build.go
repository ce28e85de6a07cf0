package balance

import (
	"cmp"
	"slices"

	"github.com/sluiceproxy/sluice/config"
)

// builder makes a table.
type builder struct {
	*Table
	members  []Member
	previous *Table
}

// Build makes the table of members, which it keeps nothing of but what they
// point to. Where previous, which may be nil, is a table of the same cluster,
// rotations go on from its turns, and hash tables whose members are the same
// are taken over. The previous table stays as good as it was.
func Build(members []Member, o *Options, previous *Table) *Table {
	b := &builder{Table: &Table{options: *o, hashes: o.hashes(), localities: localitiesOf(members)}, members: members, previous: previous}
	b.policy = policy{
		name:    o.Policy,
		choices: int(max(1, o.LeastRequest.ChoiceCount)),
		bias:    o.LeastRequest.ActiveRequestBias,
	}
	order, levels := rank(members)
	b.loads = loadsOf(levels, o)
	for i := range levels {
		n := int(levels[i].members.all)
		b.level(order[:n], b.loads[i])
		order = order[n:]
	}
	b.route()
	return b.Table
}

func localitiesOf(members []Member) []int32 {
	list := make([]int32, len(members))
	for i := range members {
		list[i] = members[i].Locality
	}
	return list
}

// rank sorts members by priority, those of one priority as they came, and
// counts. Members without weight are left out.
func rank(members []Member) (order []int32, levels []level) {
	order = make([]int32, 0, len(members))
	for i := range members {
		if members[i].Weight > 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Compare(members[a].priority(), members[b].priority())
	})
	for _, index := range order {
		m := &members[index]
		if n := len(levels); n == 0 || levels[n-1].priority != m.priority() {
			levels = append(levels, level{priority: m.priority()})
		}
		l := &levels[len(levels)-1]
		l.members.add(m.Health, 1)
		l.weights.add(m.Health, uint64(m.Weight))
	}
	return order, levels
}

// level makes the sets of a priority.
func (b *builder) level(order []int32, load PriorityLoad) {
	if load.Panic {
		if !b.options.FailTrafficOnPanic {
			b.set(order, load.Priority, everyone)
		}
		return
	}
	b.set(order, load.Priority, healthyOnes)
	b.set(order, load.Priority, degradedOnes)
}

// set makes a set, unless nobody is in it.
func (b *builder) set(order []int32, priority uint32, k kind) {
	s := set{priority: priority, kind: k}
	keys, weights := make([]string, 0, len(order)), make([]float64, 0, len(order))
	factors := b.localityFactors(order, k)
	for _, index := range order {
		m := &b.members[index]
		if !k.holds(m.Health) || factors.of(m) == 0 {
			continue
		}
		s.seats = append(s.seats, seat{m.ID, index})
		keys, weights = append(keys, m.Key), append(weights, m.weight()*factors.of(m))
		if b.policy.name == config.LeastRequest {
			s.active = append(s.active, m.Active)
		}
	}
	if len(s.seats) == 0 {
		return
	}
	b.equip(&s, keys, weights)
	b.sets = append(b.sets, s)
}

// equip gives a set what its policy picks by.
func (b *builder) equip(s *set, keys []string, weights []float64) {
	before := b.before(s)
	switch b.policy.name {
	case config.RingHash:
		s.ring = newRing(keys, weights, b.options.RingHash, before.ring)
	case config.Maglev:
		s.maglev = newMaglev(keys, weights, b.options.Maglev.TableSize, before.maglev)
	case config.Random:
		s.line = newLine(weights)
	default:
		s.line = newLine(weights)
		if before.rotation.cursor == nil {
			s.rotation = newRotation(&s.line)
		} else {
			s.rotation = before.rotation.goOn(&before.line, &s.line)
		}
	}
}

// before is the set that was there, or an empty one.
func (b *builder) before(s *set) *set {
	if b.previous != nil {
		if i, ok := b.previous.find(s.priority, s.kind); ok {
			return &b.previous.sets[i]
		}
	}
	return new(set)
}
