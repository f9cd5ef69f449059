using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage.Stitching;

/// <summary>The key of an encrypted dump, of which its parts may have pieces each.</summary>
internal static class PartKeys
{
    /// <summary>Longest key that a part is asked for; as <see cref="SessionOptions.MaxKeyBytes"/>.</summary>
    private static readonly uint s_maxKeyBytes = (uint)new SessionOptions().MaxKeyBytes;

    /// <summary>Bytes of the key that the dump cannot be decrypted without; 0 where it is not encrypted.</summary>
    public static uint BytesOf(Manifest manifest) => manifest.Kdh is { Valid: true } kdh ? Math.Min(kdh.DumpKeySize, s_maxKeyBytes) : 0;

    /// <summary>The dump's own key file has all of the key, or it needs none.</summary>
    public static bool IsWhole(CatalogedDump dump) =>
        BytesOf(dump.Manifest) is var bytes && (bytes == 0 || (dump.KeyPath is string path && new FileInfo(path) is { Exists: true } file && HeldBy(dump.Manifest, (ulong)file.Length).Contains(0, bytes)));

    /// <summary>Puts the key together of what the dump itself has of it and what the parts have, the first of them first.</summary>
    /// <param name="root">The dump directory.</param>
    /// <param name="dump">The dump.</param>
    /// <param name="parts">The parts.</param>
    /// <param name="compare">Throws where a part is of another dump.</param>
    /// <param name="problem">Why one of them cannot be asked, where none had a problem before.</param>
    /// <returns>It; null where the dump needs none or has it, and where not all of it is there.</returns>
    /// <exception cref="ForeignPartException">A part is of another dump.</exception>
    /// <exception cref="StorageException">The dump's own key cannot be read.</exception>
    public static byte[]? TryJoin(string root, CatalogedDump dump, IReadOnlyList<IDumpPart> parts, Action<IDumpPart> compare, ref StorageException? problem)
    {
        if (IsWhole(dump))
            return null;
        byte[] key = new byte[BytesOf(dump.Manifest)];
        var held = new Coverage();
        if (File.Exists(dump.KeyPath))
        {
            Take(dump.Manifest, ReadOwn(root, dump), key, held);
        }

        foreach (var part in parts.Where(part => part.Manifest.Files.Key is not null))
        {
            if (held.Contains(0, (ulong)key.Length))
                break;
            try
            {
                compare(part);
                Take(part.Manifest, part.ReadKey(), key, held);
            }
            catch (StorageException e) when (e is not ForeignPartException)
            {
                problem ??= e;
            }
        }

        return held.Contains(0, (ulong)key.Length) ? key : null;
    }

    private static void Take(Manifest manifest, ReadOnlySpan<byte> file, Span<byte> key, Coverage held)
    {
        foreach (var piece in RangeList.Common(RangeList.ToCoverage(held.Missing((ulong)key.Length)).Ranges, HeldBy(manifest, (ulong)file.Length).Ranges))
        {
            file[(int)piece.Start..(int)piece.End].CopyTo(key[(int)piece.Start..]);
            held.Add(piece.Start, piece.End);
        }
    }

    /// <summary>What a key file of that length has.</summary>
    private static Coverage HeldBy(Manifest manifest, ulong fileBytes) =>
        RangeList.ToCoverage(RangeList.ToCoverage(manifest.KeyMissing ?? []).Missing(fileBytes));

    private static byte[] ReadOwn(string root, CatalogedDump dump)
    {
        using var file = StoredFile.Open(root, dump, StoredFileKind.Key)!;
        byte[] bytes = new byte[Math.Min(file.LengthBytes, s_maxKeyBytes)];
        return bytes[..RandomAccess.Read(file.Handle, bytes, 0)];
    }
}
