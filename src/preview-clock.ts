/** Which lines of a run are shown, so that previews take no more than a tenth of its time. */

const SHARE = 0.1;

export class PreviewClock {
  #drawnMs = 0;
  #previewMs = 0;
  /** Of one line of one preview. */
  #lineMs = 0;

  /** A line was drawn. */
  drew(milliseconds: number): void {
    this.#drawnMs += milliseconds;
  }

  /** Takes the time of a preview, of so many decoded lines. */
  async timed<T>(lines: number, preview: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    const made = await preview();
    this.previewed(performance.now() - beganMs, lines);
    return made;
  }

  previewed(milliseconds: number, lines: number): void {
    this.#previewMs += milliseconds;
    this.#lineMs = milliseconds / lines;
  }

  /** Whether a preview of so many decoded lines is within the share by now. The first always is: nobody knows yet what it takes. */
  isDue(lines: number): boolean {
    return this.#previewMs + this.#lineMs * lines <= SHARE * this.#drawnMs || this.#previewMs === 0;
  }
}
