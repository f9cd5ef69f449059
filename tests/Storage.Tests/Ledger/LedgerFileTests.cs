using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Storage.Tests.Ledger;

public sealed class LedgerFileTests
{
    private static readonly Gen<LedgerRecord> s_record = Gen.OneOf(
        from id in Gen.Elements("20261121T013940Z-5f3a9c1e", "", "é")
        from client in Gen.Choose(0, int.MaxValue)
        select (LedgerRecord)new LedgerRecord.Opened(new(id, new((uint)client), Dumps.StartedAt), Guid.NewGuid()),
        Gen.Choose(0, 255).Select(b => (LedgerRecord)new LedgerRecord.Kdh(Enumerable.Repeat((byte)b, 512).ToArray())),
        from offset in Gen.Choose(0, int.MaxValue)
        from length in Gen.Choose(0, 2000)
        select (LedgerRecord)new LedgerRecord.Key((ulong)offset, Dumps.Pattern(length)),
        from node in Gen.Elements("a", "", "\u00e9")
        from epoch in Gen.Choose(1, int.MaxValue)
        select (LedgerRecord)new LedgerRecord.PartOf(new("20261121T013940Z-5f3a9c1e", node, epoch)));

    private static readonly Gen<LedgerRecord[]> s_records = from first in Gen.ArrayOf(s_record) select first;

    [Fact]
    public void Reads_back_what_was_written() =>
        Prop.ForAll(s_records.ToArbitrary(), records =>
        {
            var read = LedgerFile.Read(Encode(records));
            AssertSame(records, read.Records);
            Assert.True(read.EndsClean);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_cut_ledger_yields_the_records_before_the_cut()
    {
        var cut = from records in s_records
                  from at in Gen.Choose(0, Encode(records).Length)
                  select (records, at);
        Prop.ForAll(cut.ToArbitrary(), sample =>
        {
            byte[] file = Encode(sample.records);
            var read = LedgerFile.Read(file.AsSpan(0, sample.at));
            AssertSame(sample.records[..read.Records.Count], read.Records);
            int whole = Encode(sample.records[..read.Records.Count]).Length;
            Assert.Equal(whole == sample.at, read.EndsClean);
            if (read.Records.Count < sample.records.Length)
                Assert.True(sample.at < Encode(sample.records[..(read.Records.Count + 1)]).Length);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Flipped_bits_never_yield_a_record_that_was_not_written()
    {
        var damage = from records in s_records.Where(r => r.Length > 0)
                     from flips in Gen.NonEmptyListOf(Gen.Choose(LedgerFormat.FileHeaderBytes * 8, (Encode(records).Length * 8) - 1))
                     select (records, flips);
        Prop.ForAll(damage.ToArbitrary(), sample =>
        {
            byte[] file = Encode(sample.records);
            foreach (int bit in sample.flips.Distinct())
                file[bit / 8] ^= (byte)(1 << (bit % 8));

            var read = LedgerFile.Read(file);

            Assert.True(read.Records.Count < sample.records.Length);
            AssertSame(sample.records[..read.Records.Count], read.Records);
            Assert.False(read.EndsClean);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Noise_is_no_ledger() =>
        Prop.ForAll(Gen.ArrayOf(Gen.Choose(0, 255).Select(b => (byte)b)).ToArbitrary(), noise =>
        {
            Assert.Empty(LedgerFile.Read(noise).Records);
            byte[] file = [.. Encode([]), .. noise];
            Assert.Empty(LedgerFile.Read(file).Records);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Zeros_after_the_end_are_not_records()
    {
        var record = new LedgerRecord.Key(7, new byte[] { 1 });

        var read = LedgerFile.Read([.. Encode([record]), .. new byte[4096]]);

        AssertSame([record], read.Records);
        Assert.False(read.EndsClean);
    }

    [Fact]
    public void Whole_records_of_a_later_version_are_passed_over()
    {
        var key = new LedgerRecord.Key(7, new byte[] { 1 });
        byte[] later = Record((LedgerRecordType)900, [1, 2, 3]);

        var read = LedgerFile.Read([.. Encode([]), .. later, .. Encode([key])[LedgerFormat.FileHeaderBytes..]]);

        Assert.Equal(new LedgerRecord.Unknown(900), read.Records[0]);
        AssertSame([key], [read.Records[1]]);
        Assert.True(read.EndsClean);
    }

    [Theory]
    [InlineData(1, 27)]
    [InlineData(2, 511)]
    [InlineData(3, 7)]
    public void A_record_of_the_wrong_size_ends_the_reading(ushort type, int size) =>
        Assert.Empty(LedgerFile.Read([.. Encode([]), .. Record((LedgerRecordType)type, new byte[size])]).Records);

    [Fact]
    public void A_missing_ledger_is_named()
    {
        var e = Assert.Throws<StorageException>(() => LedgerFile.Read("/nonexistent/partial.ledger"));
        Assert.Contains("/nonexistent/partial.ledger", e.Message, StringComparison.Ordinal);
    }

    private static byte[] Encode(LedgerRecord[] records)
    {
        byte[] header = new byte[LedgerFormat.FileHeaderBytes];
        LedgerFormat.WriteFileHeader(header);
        return [.. header, .. records.SelectMany(record => record switch
        {
            LedgerRecord.Opened opened => Record(LedgerRecordType.Opened, LedgerFormat.OpenedPayload(opened)),
            LedgerRecord.Kdh kdh => Record(LedgerRecordType.Kdh, kdh.Header.ToArray()),
            LedgerRecord.Key key => Record(LedgerRecordType.Key, [.. BitConverter.GetBytes(key.Offset), .. key.Bytes.ToArray()]),
            LedgerRecord.PartOf part => Record(LedgerRecordType.PartOf, LedgerFormat.PartOfPayload(part.Continues)),
            _ => throw new ArgumentOutOfRangeException(nameof(records)),
        })];
    }

    private static byte[] Record(LedgerRecordType type, byte[] payload)
    {
        byte[] header = new byte[LedgerFormat.RecordHeaderBytes];
        LedgerFormat.WriteRecordHeader(header, type, [], payload);
        return [.. header, .. payload];
    }

    private static void AssertSame(IReadOnlyList<LedgerRecord> expected, IReadOnlyList<LedgerRecord> actual) =>
        Assert.Equal(expected.Select(Describe), actual.Select(Describe));

    private static string Describe(LedgerRecord record) => record switch
    {
        LedgerRecord.Kdh kdh => $"kdh {Convert.ToHexString(kdh.Header.Span)}",
        LedgerRecord.Key key => $"key {key.Offset} {Convert.ToHexString(key.Bytes.Span)}",
        _ => record.ToString(),
    };
}
