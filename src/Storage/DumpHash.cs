using System.Buffers;
using System.Security.Cryptography;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>SHA-256 of a vmcore, computed after the transfer.</summary>
public static class DumpHash
{
    private const int BufferBytes = 1 << 20;
    private const ulong AllowedHoleBytes = 1UL << 30;

    /// <summary>
    /// Whether a file of <paramref name="lengthBytes"/>, of which <paramref name="coveredBytes"/> came, is worth reading: one packet at a far offset makes a file of
    /// exabytes, and reading its holes must not cost hours.
    /// </summary>
    public static bool IsWorthwhile(ulong lengthBytes, ulong coveredBytes) =>
        lengthBytes <= AllowedHoleBytes || (lengthBytes - AllowedHoleBytes) / 4 <= coveredBytes;

    /// <summary>Reads the whole file.</summary>
    /// <remarks>
    /// What the page cache holds of it stays there, because whoever analyses a fresh dump reads it again; reading it here makes it no more worth keeping than it was, so that other files
    /// are not pushed out for it (Linux 6.3).
    /// </remarks>
    /// <param name="path">The vmcore.</param>
    /// <param name="cancellation">Ends the reading early.</param>
    /// <param name="progress">Gets the bytes read so far, about every mebibyte.</param>
    /// <returns>64 hexadecimal digits in small letters.</returns>
    /// <exception cref="StorageException">The file cannot be read.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was requested.</exception>
    public static string Compute(string path, CancellationToken cancellation, Action<long>? progress = null)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            Posix.Advise(file, 0, 0, Posix.AdviseSequential);
            Posix.Advise(file, 0, 0, Posix.AdviseNoReuse);
            for (long offset = 0; ;)
            {
                cancellation.ThrowIfCancellationRequested();
                int read = RandomAccess.Read(file, buffer.AsSpan(0, BufferBytes), offset);
                if (read == 0)
                    return Convert.ToHexStringLower(hash.GetHashAndReset());

                hash.AppendData(buffer, 0, read);
                offset += read;
                progress?.Invoke(offset);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"{path}: cannot be read: {e.Message}", e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
