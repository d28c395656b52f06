package paging

// generation is how many marks one generation of a memory holds. Two of them are kept.
const generation = 1 << 16

// side says which ends of the block of remembered records a record joins pages to. A
// record that is remembered from before the block has none.
type side byte

const (
	atBack side = 1 << iota // what stands behind it was not read, or is remembered
	atFront
)

// memory is a set of marks of the records that were received. Those with a side are the
// block: a piece of the list without gaps.
type memory struct {
	young, old map[uint64]side
	gappy      bool // the middle of the block has been forgotten: its two ends are known
}

func (m *memory) get(id uint64) (side, bool) {
	s, ok := m.young[id]
	if !ok {
		s, ok = m.old[id]
	}
	return s, ok
}

func (m *memory) knows(id uint64) bool {
	_, ok := m.get(id)
	return ok
}

// joins reports whether a record is known to belong to this end of the block.
func (m *memory) joins(id uint64, end side) bool {
	s, _ := m.get(id)
	return s&end != 0
}

// add remembers a record as one of this end of the block. A block without a gap is known
// at both ends.
func (m *memory) add(id uint64, end side) {
	if !m.gappy {
		end = atBack | atFront
	}
	s, _ := m.get(id)
	if m.young == nil {
		m.young = make(map[uint64]side)
	}
	m.young[id] = s | end
}

// size returns about how many marks are remembered.
func (m *memory) size() int { return len(m.young) + len(m.old) }

// age begins a new generation if the young one is full. first and last are the marks of
// both ends of the block. When records are forgotten for the first time, only these ends
// are known to belong together.
func (m *memory) age(first, last []uint64) {
	if len(m.young) < generation {
		return
	}
	forgets := len(m.old) > 0
	m.young, m.old = nil, m.young
	if !forgets {
		return
	}
	if !m.gappy {
		m.gappy = true
		clearSides(m.old)
	}
	m.addEnds(first, last)
}

func (m *memory) addEnds(first, last []uint64) {
	for _, id := range first {
		m.add(id, atFront)
	}
	for _, id := range last {
		m.add(id, atBack)
	}
}

// restart begins a new block. What was received before is still remembered.
func (m *memory) restart() {
	m.gappy = false
	clearSides(m.young)
	clearSides(m.old)
}

func clearSides(generation map[uint64]side) {
	for id := range generation {
		generation[id] = 0
	}
}
