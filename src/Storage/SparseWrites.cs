namespace NetdumpCollector.Storage;

/// <summary>Finds what of a dump need not be written because it is zero and the file reads as zero there: whole pages of zeros above the high-water mark.</summary>
/// <remarks>
/// Below the mark something was, or may have been, written, also by a write that failed half-way, so there zeros are written like anything else and overlaps stay right.
/// The mark rises with each extent that is handed out, before it is written. A hole at the end does not lengthen the file, so <see cref="LengthBytes"/> has to be set
/// before anybody is told that its bytes are stored. One user at a time.
/// </remarks>
public unsafe struct SparseWrites
{
    /// <summary>Holes are whole pages at multiples of this: what file systems keep apart.</summary>
    public const int PageBytes = 4096;

    private ulong _highWater;
    private ulong _holeEnd;
    private ulong _fileEnd;

    /// <param name="fileBytes">Length of the file that is continued; 0 for a new one.</param>
    public SparseWrites(ulong fileBytes)
    {
        _highWater = fileBytes;
        _fileEnd = fileBytes;
    }

    /// <summary>The length that the file must be given because it ends with a hole; null when it is long enough.</summary>
    public readonly ulong? LengthBytes => _holeEnd > _fileEnd ? _holeEnd : null;

    /// <summary>To be called when bytes up to <paramref name="end"/> were written.</summary>
    public void OnWritten(ulong end) => _fileEnd = Math.Max(_fileEnd, end);

    /// <summary>To be called when the file was given <see cref="LengthBytes"/>, and also when that failed: what comes again for that place is written then.</summary>
    public void OnLengthTried() => _fileEnd = Math.Max(_fileEnd, _holeEnd);

    /// <summary>Of the run of neighbours that begins at a byte of a slice, says what is to be done with its first bytes.</summary>
    /// <param name="slices">What is to be written where; the caller handles what it has not handled yet in order.</param>
    /// <param name="index">The slice that holds the first byte; slices that are empty are not part of it.</param>
    /// <param name="skipBytes">The first byte's place in that slice; less than its length.</param>
    /// <param name="isHole">The bytes are a hole; else they are to be written.</param>
    /// <returns>How many bytes, at least one; they may end inside a slice.</returns>
    public long NextExtent(ReadOnlySpan<WriteSlice> slices, int index, int skipBytes, out bool isHole)
    {
        ulong start = slices[index].Offset + (uint)skipBytes;
        var at = new Position(slices, index, skipBytes);
        if (start > long.MaxValue)
        {
            // No file has such a place: the caller refuses the write.
            isHole = false;
            at.Skip(ulong.MaxValue);
            return at.Passed;
        }

        isHole = IsPageStart(start) && start >= _highWater && at.TrySkipZeros(PageBytes);
        if (isHole)
        {
            while (at.TrySkipZeros(PageBytes))
            {
            }
        }
        else
        {
            // To the next page that can be left out. Nothing below the mark can, so it is not looked at.
            at.Skip(RoundUp(Math.Max(start + 1, _highWater)) - start);
            while (at.HasBytes && !at.IsAtZeros(PageBytes))
                at.Skip(PageBytes);
        }

        ulong end = start + (ulong)at.Passed;
        _highWater = Math.Max(_highWater, end);
        if (isHole)
            _holeEnd = end;

        return at.Passed;
    }

    private static bool IsPageStart(ulong offset) => offset % PageBytes == 0;

    private static ulong RoundUp(ulong offset) => (offset + PageBytes - 1) / PageBytes * PageBytes;

    /// <summary>A place in a run of neighbouring slices.</summary>
    private ref struct Position(ReadOnlySpan<WriteSlice> slices, int index, int skipBytes)
    {
        private readonly ReadOnlySpan<WriteSlice> _slices = slices;
        private int _index = index;
        private int _skip = skipBytes;

        /// <summary>Bytes from where it began.</summary>
        public long Passed { get; private set; }

        /// <summary>The run goes on here.</summary>
        public readonly bool HasBytes => _index < _slices.Length;

        /// <summary>Goes on by <paramref name="bytes"/>, at most to the end of the run.</summary>
        public void Skip(ulong bytes)
        {
            while (bytes > 0 && HasBytes)
            {
                int part = (int)Math.Min(bytes, (ulong)(_slices[_index].Length - _skip));
                bytes -= (uint)part;
                Passed += part;
                _skip += part;
                if (_skip == _slices[_index].Length)
                    StepToNext();
            }
        }

        /// <summary>So many zeros follow in the run; then they are passed.</summary>
        public bool TrySkipZeros(int bytes)
        {
            var next = this;
            for (int left = bytes; left > 0;)
            {
                if (!next.HasBytes)
                    return false;
                var slice = next._slices[next._index];
                int part = Math.Min(left, slice.Length - next._skip);
                if (new ReadOnlySpan<byte>(slice.Data + next._skip, part).ContainsAnyExcept((byte)0))
                    return false;
                next.Skip((uint)part);
                left -= part;
            }

            this = next;
            return true;
        }

        public readonly bool IsAtZeros(int bytes)
        {
            var copy = this;
            return copy.TrySkipZeros(bytes);
        }

        private void StepToNext()
        {
            ulong end = _slices[_index].Offset + (uint)_slices[_index].Length;
            _skip = 0;
            do
                _index++;
            while (HasBytes && _slices[_index].Length == 0 && _slices[_index].Offset == end);
            if (HasBytes && _slices[_index].Offset != end)
                _index = _slices.Length;
        }
    }
}
