package listener

// texts maps texts. A few are compared one by one, which touches less memory
// than a map does: with ten thousand chains most tables are small, and none is
// in the processor's cache.
type texts struct {
	few  []text
	many map[string]ref // instead of few, once there are more than fewTexts
}

type text struct {
	key string
	to  ref
}

const fewTexts = 8

func (t *texts) add(key string, to ref) {
	if t.many != nil {
		t.many[key] = to
		return
	}
	t.few = append(t.few, text{key, to})
	if len(t.few) <= fewTexts {
		return
	}
	t.many = make(map[string]ref, len(t.few))
	for _, e := range t.few {
		t.many[e.key] = e.to
	}
	t.few = nil
}

func (t *texts) get(key string) (ref, bool) {
	for i := range t.few {
		if e := &t.few[i]; e.key == key {
			return e.to, true
		}
	}
	to, ok := t.many[key]
	return to, ok
}

// getBytes is get without a string for the key.
func (t *texts) getBytes(key []byte) (ref, bool) {
	for i := range t.few {
		if e := &t.few[i]; e.key == string(key) {
			return e.to, true
		}
	}
	to, ok := t.many[string(key)]
	return to, ok
}

// refs are where the texts lead, in no order.
func (t *texts) refs() []ref {
	list := make([]ref, 0, len(t.few)+len(t.many)+1)
	for i := range t.few {
		list = append(list, t.few[i].to)
	}
	for _, to := range t.many {
		list = append(list, to)
	}
	return list
}
